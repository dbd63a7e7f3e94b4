//! What the tests of the store share: a crash as a copy of the directory.

use std::fs;
use std::io::{Read, Seek, Write};
use std::path::Path;

/// Copies a directory as it is now.
pub fn copy_dir(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy_dir(&entry.path(), &target);
        } else {
            copy_file(&entry.path(), &target);
        }
    }
}

/// Copies what is not zero: journals are 64 MiB of room, most of it never written.
fn copy_file(from: &Path, to: &Path) {
    const BLOCK: usize = 64 * 1024;
    let (mut from, mut to) = (fs::File::open(from).unwrap(), fs::File::create(to).unwrap());
    to.set_len(from.metadata().unwrap().len()).unwrap();
    let mut block = vec![0; BLOCK];
    loop {
        let count = from.read(&mut block).unwrap();
        match count {
            0 => return,
            _ if block[..count] == [0; BLOCK][..count] => {
                to.seek_relative(count as i64).unwrap();
            }
            _ => to.write_all(&block[..count]).unwrap(),
        }
    }
}
