//! `import resp`: a stream of commands.

use std::io::{Read, Write};

use bytes::{Bytes, BytesMut};
use proto_redis::{Decoder, Reply};
use types::{ErrorCode, Fault};

use super::{Imported, Sender, shown};

/// Bytes that are read at once.
const READ_BYTES: usize = 64 * 1024;

/// Sends commands as they come, and counts those that were carried out.
///
/// # Errors
/// The source fails or is no stream of commands, or the connection broke.
pub fn commands<S: Read + Write>(
    mut source: impl Read,
    sender: &mut Sender<S, Bytes>,
    mut progress: impl FnMut(u64, u64),
) -> Result<Imported, Fault> {
    let (mut decoder, mut buffer, mut args) = (Decoder::new(), BytesMut::new(), Vec::new());
    let (mut imported, mut sent, mut bytes) = (Imported::default(), 0, 0);
    let mut chunk = vec![0; READ_BYTES];
    loop {
        let read =
            source.read(&mut chunk).map_err(|error| Fault::new(ErrorCode::BadFile, error.to_string()))?;
        bytes += read as u64;
        buffer.extend_from_slice(&chunk[..read]);
        loop {
            let decoded = decoder.decode(&mut buffer, &mut args).map_err(|error| {
                Fault::new(ErrorCode::BadFile, format!("behind {sent} commands: {}", error.text()))
            })?;
            if !decoded {
                break;
            }
            sent += 1;
            sender.add(&args, args[0].clone());
            if sender.is_full() {
                settle(sender, &mut imported)?;
                progress(sent, bytes);
            }
        }
        if read == 0 {
            settle(sender, &mut imported)?;
            return match buffer.is_empty() {
                true => Ok(imported),
                false => {
                    let detail = format!("it ends in the middle of a command, behind {sent} others");
                    Err(Fault::new(ErrorCode::BadFile, detail))
                }
            };
        }
    }
}

fn settle<S: Read + Write>(sender: &mut Sender<S, Bytes>, imported: &mut Imported) -> Result<(), Fault> {
    let replies = sender.flush().map_err(|error| {
        Fault::new(ErrorCode::Unreachable, format!("the connection to the Redis port broke: {error}"))
    })?;
    for (name, reply) in replies {
        match reply {
            Reply::Error(error) => {
                imported.refused += 1;
                imported.tell(format!("{}: {error}", shown(&name)));
            }
            _ => imported.done += 1,
        }
    }
    Ok(())
}
