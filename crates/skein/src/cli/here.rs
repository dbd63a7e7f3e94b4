//! Where commands find a cluster that work on this machine's files and processes, and not by asking nodes.

use std::path::PathBuf;

use clap::Args;
use client::{Directory, Lookup};
use types::{ErrorCode, Fault};

/// The directory of a cluster on this machine.
#[derive(Clone, Debug, Default, Args)]
pub struct Here {
    /// The cluster's directory on this machine, as given to 'skein up' [default: ./skein-data]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

impl Here {
    /// The directory that is meant.
    ///
    /// # Errors
    /// `BadArgument` if only the environment says which cluster is meant: it names nodes, and the cluster in
    /// `./skein-data` may be another one.
    pub fn directory(&self) -> Result<Directory, Fault> {
        self.unless_elsewhere(super::environment::addresses().as_deref())
    }

    fn unless_elsewhere(&self, addresses: Option<&str>) -> Result<Directory, Fault> {
        match (&self.dir, addresses) {
            (None, Some(addresses)) => {
                let detail = format!(
                    "SKEIN_ADDR={addresses} names nodes, and this command works on the directory of a cluster on this \
                     machine:\nsay which by --dir DIR"
                );
                Err(Fault::new(ErrorCode::BadArgument, detail))
            }
            (directory, _) => Ok(Lookup { directory: directory.clone(), ..Lookup::default() }.directory()),
        }
    }

    /// The option as typed, with a blank before it: for a command to go on with.
    pub fn words(&self) -> String {
        self.dir.iter().map(|dir| format!(" --dir {}", dir.display())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_the_environment_are_no_directory() {
        let named = Here { dir: Some("elsewhere".into()) };
        let path =
            |here: &Here, addresses| here.unless_elsewhere(addresses).map(|found| found.path().to_owned());
        assert_eq!(path(&named, Some("a:1")), Ok("elsewhere".into()));
        assert_eq!(path(&Here::default(), None), Ok("skein-data".into()));
        let refused = path(&Here::default(), Some("a:1")).expect_err("which cluster?");
        assert_eq!(refused.code, ErrorCode::BadArgument);
        assert!(
            refused.detail.contains("SKEIN_ADDR=a:1") && refused.detail.contains("--dir DIR"),
            "{refused}"
        );
    }
}
