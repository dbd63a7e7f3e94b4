//! Words of a command line as numbers, partitions and addresses; refusals in the words of the original.

use crate::failure::Failure;

/// A partition's number.
pub fn pid(word: &str) -> Result<u32, Failure> {
    word.parse().map_err(|_| Failure::usage("Invalid args. pid should be uint32_t"))
}

/// `1`, or `1,3,5`, or the closed range `1-5`, in order and once each.
pub fn pid_group(word: &str) -> Result<Vec<u32>, Failure> {
    let malformed = || Failure::usage(format!("pid group[{word}] format error"));
    let number = |text: &str| text.parse::<u32>().map_err(|_| malformed());
    let mut pids: Vec<u32> = match word.split_once('-') {
        Some((first, last)) => {
            let (first, last) = (number(first)?, number(last)?);
            // A table has far fewer; longer ranges are a slip that would fill the memory.
            if last.checked_sub(first).is_some_and(|span| span > types::limits::PARTITIONS_MAX) {
                return Err(malformed());
            }
            (first..=last).collect()
        }
        None => word.split(',').map(number).collect::<Result<_, _>>()?,
    };
    pids.sort_unstable();
    pids.dedup();
    if pids.is_empty() {
        return Err(Failure::usage("has not valid pid"));
    }
    Ok(pids)
}

/// How many ops the original would run at once. Ours run as many as the settings allow.
pub fn concurrency(word: &str) -> Result<u32, Failure> {
    match word.parse::<i32>() {
        Ok(number) if number > 0 => Ok(number.unsigned_abs()),
        Ok(_) => Err(Failure::usage("Invalid args. concurrency should be greater than 0")),
        Err(_) => Err(Failure::usage("Invalid args. concurrency should be uint32_t")),
    }
}

/// Whether a node that comes back is to lead what it led before.
pub fn need_restore(word: &str) -> Result<bool, Failure> {
    let refused = || Failure::usage("Invalid args. need_restore should be true or false");
    word.to_ascii_lowercase().parse().map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_partitions() {
        assert_eq!(pid_group("3").expect("one"), [3]);
        assert_eq!(pid_group("5,1,3,1").expect("a list"), [1, 3, 5]);
        assert_eq!(pid_group("1-3").expect("a range"), [1, 2, 3]);
        for bad in ["", "a", "1,", "1-", "-1", "1-2-3", "0-4294967295", "1,a"] {
            assert_eq!(pid_group(bad).expect_err(bad).text, format!("pid group[{bad}] format error"));
        }
        assert_eq!(pid_group("3-1").expect_err("nothing").text, "has not valid pid");
    }
}
