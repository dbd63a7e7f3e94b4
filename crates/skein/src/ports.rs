//! Whether a node's addresses are free, and who has them if not.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use types::{ErrorCode, Fault};

use crate::process::program_of;

/// Checks that all these addresses can be listened at.
///
/// # Errors
/// `PortInUse` naming each address that is taken and the program that has it, where that can be seen;
/// `BadArgument` if the machine has no such address.
pub fn check<'a>(addresses: impl IntoIterator<Item = &'a str>) -> Result<(), Fault> {
    let mut taken = Vec::new();
    for address in addresses {
        // Bound and given back at once; a node that starts now finds out by itself if it lost a race.
        match TcpListener::bind(address) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::AddrInUse => taken.push(describe(address)),
            Err(error) => {
                return Err(Fault::new(
                    ErrorCode::BadArgument,
                    format!("cannot listen at {address}: {error}"),
                ));
            }
        }
    }
    if taken.is_empty() { Ok(()) } else { Err(Fault::new(ErrorCode::PortInUse, taken.join("\n"))) }
}

/// The address and who has it.
fn describe(address: &str) -> String {
    let port = address.parse::<SocketAddr>().map(|address| address.port());
    match port.ok().and_then(listener_of) {
        Some(pid) => {
            let program = program_of(pid).unwrap_or_else(|| "unknown program".to_owned());
            format!("{address} ({program}, process {pid})")
        }
        None => address.to_owned(),
    }
}

/// The process that listens at a port. Other users' processes cannot be seen; then there is no answer.
fn listener_of(port: u16) -> Option<u32> {
    let sockets = ["/proc/net/tcp", "/proc/net/tcp6"].into_iter();
    let tables = sockets.filter_map(|table| std::fs::read_to_string(table).ok());
    let inodes: Vec<String> = tables.flat_map(|table| listening_inodes(&table, port)).collect();
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .find(|pid| holds_one_of(*pid, &inodes))
}

/// Inodes of the sockets that listen at a port, from the kernel's table.
fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    const LISTENING: &str = "0A";
    let suffix = format!(":{port:04X}");
    let rows = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        (local.ends_with(&suffix) && *state == LISTENING).then(|| (*inode).to_owned())
    });
    rows.collect()
}

fn holds_one_of(pid: u32, inodes: &[String]) -> bool {
    let Ok(files) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    files.flatten().any(|file| {
        let target = std::fs::read_link(file.path()).unwrap_or_default();
        let inode = target.to_str().and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']'));
        inode.is_some_and(|inode| inodes.iter().any(|wanted| wanted == inode))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_with_its_program() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let fault = check([address.as_str()]).expect_err("taken");
        assert_eq!(fault.code, ErrorCode::PortInUse);
        let process = format!("process {}", std::process::id());
        assert!(fault.detail.contains(&address) && fault.detail.contains(&process), "{fault}");
        drop(listener);
        assert_eq!(check([address.as_str()]), Ok(()));
    }

    #[test]
    fn an_address_of_another_machine_is_an_argument() {
        assert_eq!(check(["192.0.2.1:7000"]).expect_err("not ours").code, ErrorCode::BadArgument);
    }
}
