//! An S3 bucket as a target, through `object_store`.
//!
//! Keys and endpoint come from the environment of the process, as other programs take them: `AWS_ACCESS_KEY_ID`,
//! `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT`, `AWS_ALLOW_HTTP`, … A put is whole or not at all; a file of
//! several parts is there once its upload is completed, and one that is given up is aborted.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientConfigKey, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    RetryConfig,
};
use tokio::runtime::Runtime;

use super::{NewFile, Target, read_whole};
use crate::error::BackupError;

/// Bytes of a part of an upload; a bucket takes 10 000 of them, and none but the last below 5 MiB.
const PART_BYTES: usize = 16 * 1024 * 1024;
/// Bytes that are asked for at once when a file is read.
const READ_BYTES: u64 = 8 * 1024 * 1024;
/// How often a request is repeated, and for how long: a bucket that stays away longer is an error, not a wait.
const RETRIES_MAX: usize = 6;
const RETRY_TIME_MAX: Duration = Duration::from_secs(60);
/// What stores with S3's protocol say when they have no room; S3 itself always has.
const FULL: &[&str] = &["507 Insufficient Storage", "QuotaExceeded", "XMinioStorageFull"];
const REQUEST_TIMEOUT: &str = "60 seconds";
const CONNECT_TIMEOUT: &str = "5 seconds";

/// A bucket, and a prefix in it.
pub struct Bucket {
    url: String,
    prefix: String,
    shared: Arc<Shared>,
}

struct Shared {
    store: AmazonS3,
    runtime: Runtime,
}

impl Bucket {
    /// The bucket and prefix that a URL names.
    ///
    /// # Errors
    /// `BadUrl` without a bucket; `Target` if the environment does not fit.
    pub fn new(url: &str) -> Result<Self, BackupError> {
        Self::reached_by(url, AmazonS3Builder::from_env())
    }

    /// The same, with these variables instead of those of the process.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_variables(url: &str, variables: &[(&str, &str)]) -> Result<Self, BackupError> {
        let known = variables.iter().filter_map(|(name, value)| {
            Some((name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>().ok()?, *value))
        });
        let builder = AmazonS3Builder::new();
        Self::reached_by(url, known.fold(builder, |builder, (key, value)| builder.with_config(key, value)))
    }

    fn reached_by(url: &str, builder: AmazonS3Builder) -> Result<Self, BackupError> {
        let place = url.strip_prefix("s3://").unwrap_or_default();
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        if bucket.is_empty() {
            return Err(BackupError::BadUrl(format!("'{url}' names no bucket; write s3://bucket/prefix")));
        }
        let failed = |detail: String| BackupError::Target { file: url.to_owned(), detail };
        let retry = RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: RETRIES_MAX,
            retry_timeout: RETRY_TIME_MAX,
        };
        let (timeout, connect) = (ClientConfigKey::Timeout, ClientConfigKey::ConnectTimeout);
        let store = builder
            .with_config(AmazonS3ConfigKey::Client(timeout), REQUEST_TIMEOUT)
            .with_config(AmazonS3ConfigKey::Client(connect), CONNECT_TIMEOUT)
            .with_retry(retry)
            .with_bucket_name(bucket)
            .build()
            .map_err(|error| failed(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("bucket")
            .enable_all()
            .build()
            .map_err(|error| failed(error.to_string()))?;
        let (url, prefix) = (url.trim_end_matches('/').to_owned(), prefix.trim_matches('/').to_owned());
        Ok(Self { url, prefix, shared: Arc::new(Shared { store, runtime }) })
    }

    fn path(&self, path: &str) -> Path {
        Path::from(format!("{}/{path}", self.prefix))
    }
}

impl Target for Bucket {
    fn url(&self) -> &str {
        &self.url
    }

    fn create(&self, path: &str) -> Result<Box<dyn NewFile>, BackupError> {
        let (name, place) = (path.to_owned(), self.path(path));
        Ok(Box::new(Upload { shared: self.shared.clone(), name, place, waiting: Vec::new(), parts: None }))
    }

    fn put_new(&self, path: &str, bytes: &[u8]) -> Result<(), BackupError> {
        let (place, options) = (self.path(path), PutOptions::from(PutMode::Create));
        let put = self.shared.store.put_opts(&place, Bytes::copy_from_slice(bytes).into(), options);
        match self.shared.runtime.block_on(put).map_err(|error| failure(path, &error)) {
            // Put by an attempt of this request of whose success nothing was heard.
            Err(BackupError::Exists(_)) if read_whole(self, path)? == *bytes => Ok(()),
            put => put.map(|_| ()),
        }
    }

    fn open(&self, path: &str) -> Result<Box<dyn Read + Send>, BackupError> {
        let place = self.path(path);
        let found = self.shared.runtime.block_on(self.shared.store.head(&place));
        let bytes = found.map_err(|error| failure(path, &error))?.size;
        let shared = self.shared.clone();
        Ok(Box::new(Download { shared, place, next: 0, end: bytes, piece: Bytes::new() }))
    }

    fn list(&self, directory: &str) -> Result<Vec<String>, BackupError> {
        let place = self.path(directory);
        let listed = self.shared.runtime.block_on(self.shared.store.list_with_delimiter(Some(&place)));
        let listed = listed.map_err(|error| failure(directory, &error))?;
        let directories =
            listed.common_prefixes.iter().filter_map(|path| Some(format!("{}/", path.filename()?)));
        let files = listed.objects.iter().filter_map(|object| Some(object.location.filename()?.to_owned()));
        let mut names: Vec<String> = directories.chain(files).collect();
        names.sort_unstable();
        Ok(names)
    }

    fn remove(&self, path: &str) -> Result<(), BackupError> {
        match self.shared.runtime.block_on(self.shared.store.delete(&self.path(path))) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failure(path, &error)),
        }
    }

    fn remove_directory(&self, _directory: &str) -> Result<(), BackupError> {
        Ok(())
    }

    fn sweep(&self, _directory: &str) -> Result<u64, BackupError> {
        // Parts of an upload that nobody completes are no files; the bucket's own rules remove them.
        Ok(0)
    }
}

/// A file on its way into the bucket.
struct Upload {
    shared: Arc<Shared>,
    name: String,
    place: Path,
    waiting: Vec<u8>,
    /// There once there is more than one part.
    parts: Option<Box<dyn MultipartUpload>>,
}

impl Upload {
    fn send_part(&mut self) -> object_store::Result<()> {
        let part = Bytes::from(std::mem::take(&mut self.waiting));
        let parts = match &mut self.parts {
            Some(parts) => parts,
            None => {
                let begun = self.shared.runtime.block_on(self.shared.store.put_multipart(&self.place))?;
                self.parts.insert(begun)
            }
        };
        self.shared.runtime.block_on(parts.put_part(part.into()))
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() >= PART_BYTES {
            self.send_part().map_err(|error| io_error(&error))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl NewFile for Upload {
    fn finish(mut self: Box<Self>) -> Result<(), BackupError> {
        let failed = |name: &str, error| failure(name, &error);
        if self.parts.is_none() {
            let bytes = Bytes::from(std::mem::take(&mut self.waiting));
            let put = self.shared.store.put(&self.place, bytes.into());
            return self.shared.runtime.block_on(put).map(|_| ()).map_err(|error| failed(&self.name, error));
        }
        if !self.waiting.is_empty() {
            self.send_part().map_err(|error| failed(&self.name, error))?;
        }
        let Some(parts) = &mut self.parts else { return Ok(()) };
        let completed = self.shared.runtime.block_on(parts.complete());
        completed.map_err(|error| failed(&self.name, error))?;
        self.parts = None;
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(mut parts) = self.parts.take() {
            // What cannot be aborted now is cleaned up by the bucket's own rules.
            let _ = self.shared.runtime.block_on(parts.abort());
        }
    }
}

/// A file on its way out of the bucket.
struct Download {
    shared: Arc<Shared>,
    place: Path,
    next: u64,
    end: u64,
    piece: Bytes,
}

impl Read for Download {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() && self.next < self.end {
            let range = self.next..self.end.min(self.next + READ_BYTES);
            let piece = self.shared.store.get_range(&self.place, range);
            self.piece = self.shared.runtime.block_on(piece).map_err(|error| io_error(&error))?;
            if self.piece.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.next += self.piece.len() as u64;
        }
        let count = bytes.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut bytes[..count]);
        Ok(count)
    }
}

fn failure(file: &str, error: &object_store::Error) -> BackupError {
    let file = file.to_owned();
    match error {
        object_store::Error::NotFound { .. } => BackupError::Missing(file),
        object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. } => {
            BackupError::Exists(file)
        }
        other => {
            let detail = words(other);
            match FULL.iter().any(|word| detail.contains(word)) {
                true => BackupError::Full { file, detail },
                false => BackupError::Target { file, detail },
            }
        }
    }
}

/// An error for whoever reads or writes; one that says that there is no room still does.
fn io_error(error: &object_store::Error) -> io::Error {
    match failure("", error) {
        BackupError::Full { detail, .. } => io::Error::new(io::ErrorKind::StorageFull, detail),
        _ => io::Error::other(words(error)),
    }
}

/// What an error says, with whatever it was caused by.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
