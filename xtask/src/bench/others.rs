//! Redis and etcd, started for a comparison where they are installed.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use super::support::{free_base_port, until};
use crate::tools::is_installed;

/// A Redis server; killed when it is dropped.
pub struct Redis {
    child: Child,
    port: u16,
    _directory: tempfile::TempDir,
}

impl Redis {
    /// Starts one with these options, or tells that it is not installed.
    pub fn start(options: &[&str]) -> Result<Option<Self>> {
        if !is_installed("redis-server") {
            eprintln!("redis-server is not installed: nothing to compare with");
            return Ok(None);
        }
        let directory = tempfile::tempdir()?;
        let port = free_base_port();
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]).args(options);
        command.arg("--dir").arg(directory.path()).stdout(Stdio::null());
        let child = command.spawn().context("redis-server")?;
        let redis = Self { child, port, _directory: directory };
        until("a Redis server", || TcpStream::connect(redis.address()).ok());
        Ok(Some(redis))
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Members of an etcd cluster; killed when it is dropped.
struct Etcd {
    members: Vec<Child>,
    _directory: tempfile::TempDir,
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for member in &mut self.members {
            let _ = member.kill();
            let _ = member.wait();
        }
    }
}

/// What `etcdctl check perf --load=xl` reaches on three local members; nothing if it is not installed.
pub fn etcd_writes_per_second() -> Result<Option<f64>> {
    if !is_installed("etcd") || !is_installed("etcdctl") {
        eprintln!("etcd is not installed: nothing to compare with");
        return Ok(None);
    }
    let directory = tempfile::tempdir()?;
    let base = free_base_port();
    let client = |i: u16| format!("http://127.0.0.1:{}", base + i);
    let peer = |i: u16| format!("http://127.0.0.1:{}", base + 10 + i);
    let cluster = (0..3).map(|i| format!("m{i}={}", peer(i))).collect::<Vec<_>>().join(",");
    let mut members = Vec::new();
    for i in 0..3 {
        let mut command = Command::new("etcd");
        command.args(["--name", &format!("m{i}"), "--data-dir"]).arg(directory.path().join(format!("m{i}")));
        command.args(["--listen-client-urls", &client(i), "--advertise-client-urls", &client(i)]);
        command.args(["--listen-peer-urls", &peer(i), "--initial-advertise-peer-urls", &peer(i)]);
        command.args(["--initial-cluster", &cluster, "--log-level", "error"]);
        members.push(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("etcd")?);
    }
    let _etcd = Etcd { members, _directory: directory };
    let endpoints = (0..3).map(client).collect::<Vec<_>>().join(",");
    let etcdctl = |arguments: &[&str]| {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").args(["--endpoints", &endpoints]).args(arguments);
        command
    };
    until("a healthy etcd", || {
        let healthy = etcdctl(&["endpoint", "health"]).output().ok()?;
        healthy.status.success().then_some(())
    });
    // It exits with an error when its own bar is missed; the number is what counts here.
    let output = etcdctl(&["check", "perf", "--load=xl"]).output().context("etcdctl")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    throughput(&text).map(Some).with_context(|| format!("etcdctl check perf printed no throughput: {text}"))
}

/// The number in `Throughput is 9123 writes/s` or `Throughput too low: 9123 writes/s`.
fn throughput(text: &str) -> Option<f64> {
    let (_, rest) = text.rsplit_once("Throughput")?;
    let (before, _) = rest.split_once(" writes/s")?;
    before.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_wordings_of_etcd_are_read() {
        assert_eq!(throughput("60 / 60 100%\nPASS: Throughput is 14887 writes/s\nPASS: x"), Some(14887.0));
        assert_eq!(throughput("FAIL: Throughput too low: 912 writes/s\n"), Some(912.0));
        assert_eq!(throughput("nothing"), None);
    }
}
