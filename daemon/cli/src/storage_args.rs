//! Where copies are, by the words of a command line: `s3://bucket/prefix`, or
//! a folder.

use std::{
    env,
    path::{Path, PathBuf},
};

use clap::Args;
use provenance_core::statement::is_chain_id;
use provenance_host::config::S3;
use provenance_storage::{
    Access, FolderReader, ReadStorage, S3Reader, StoreError, replica::CopyError,
};

use crate::{Exit, Failure, io_exit};

/// The options of a command that reads or writes copies.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Options for s3:// addresses")]
pub struct StorageArgs {
    /// The service's address, if it is not Amazon's (or AWS_ENDPOINT_URL)
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// The bucket's region (or AWS_REGION; default us-east-1)
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// The access key, in a file of AWS's form with mode 0600 (or AWS_ACCESS_KEY_ID and
    /// AWS_SECRET_ACCESS_KEY)
    #[arg(long, value_name = "FILE")]
    credentials_file: Option<String>,
    /// Take the access key that this machine's instance role gives
    #[arg(long, conflicts_with = "credentials_file")]
    instance_role: bool,
    /// Certificates that the service's is judged by (or AWS_CA_BUNDLE; default: the machine's)
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The bucket as part of the host name, also at another address than Amazon's
    #[arg(long)]
    virtual_hosts: bool,
}

/// A storage that can be opened, by more than one thread too.
#[derive(Clone, Debug)]
pub struct Storage {
    kind: Kind,
    /// What is meant below the bucket or the folder.
    pub path: String,
}

#[derive(Clone, Debug)]
enum Kind {
    Folder(PathBuf),
    S3(S3, Access),
}

/// Whether a word of the command line is a bucket's address.
pub fn is_s3(address: &str) -> bool {
    address.starts_with("s3://")
}

impl StorageArgs {
    /// What the address names.
    ///
    /// # Errors
    /// [`Failure`] with [`Exit::Usage`] where it is not an address of storage.
    pub fn find(&self, address: &str) -> Result<Storage, Failure> {
        let Some(rest) = address.strip_prefix("s3://") else {
            return Ok(folder(Path::new(address)));
        };
        let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
        let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let endpoint = self.endpoint.clone();
        let endpoint = endpoint
            .or_else(|| variable("AWS_ENDPOINT_URL_S3"))
            .or_else(|| variable("AWS_ENDPOINT_URL"));
        let region = self.region.clone();
        let region = region
            .or_else(|| variable("AWS_REGION"))
            .or_else(|| variable("AWS_DEFAULT_REGION"))
            .unwrap_or_else(|| "us-east-1".into());
        let path_style = self.virtual_hosts.then_some(false);
        let s3 = S3::new(endpoint, bucket.into(), "", region, path_style)
            .map_err(|(key, why)| Failure::new(Exit::Usage, format!("{address}: {key}: {why}")))?;
        let ca_file = self.ca_file.clone();
        let ca_file = ca_file.or_else(|| variable("AWS_CA_BUNDLE").map(PathBuf::from));
        let access = match &self.credentials_file {
            _ if self.instance_role => Access::Role,
            Some(file) => Access::File(file.clone()),
            None => match variable("AWS_ACCESS_KEY_ID").is_some() {
                true => Access::Environment,
                false => variable("AWS_SHARED_CREDENTIALS_FILE")
                    .map_or(Access::Environment, Access::File),
            },
        };
        let s3 = S3 { ca_file, ..s3 };
        Ok(Storage { kind: Kind::S3(s3, access), path: path.trim_matches('/').into() })
    }
}

/// A folder of copies, or one inside it: an appliance's copies are known by
/// the three folders that they lie in.
fn folder(path: &Path) -> Storage {
    let full = std::fs::canonicalize(path).unwrap_or_else(|_| path.into());
    let names: Vec<String> = full
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .rev()
        .take(3)
        .collect();
    match (&names[..], full.ancestors().nth(3)) {
        ([chain, host, client], Some(root)) if is_chain_id(chain) => {
            let path = format!("{client}/{host}/{chain}");
            Storage { kind: Kind::Folder(root.into()), path }
        }
        _ => Storage { kind: Kind::Folder(full), path: String::new() },
    }
}

impl Storage {
    /// Opens it: each thread has its own.
    ///
    /// # Errors
    /// [`StoreError`]: no access key, no certificates.
    pub fn open(&self) -> Result<Box<dyn ReadStorage>, StoreError> {
        Ok(match &self.kind {
            Kind::Folder(root) => Box::new(FolderReader::new(root)),
            Kind::S3(s3, access) => Box::new(S3Reader::new(s3, access, None)?),
        })
    }
}

/// The exit code for what is wrong with storage.
pub fn exit_of(error: &StoreError) -> Exit {
    match error {
        StoreError::NoBucket(_)
        | StoreError::NoLock(_)
        | StoreError::Denied { .. }
        | StoreError::Access(_) => Exit::Config,
        StoreError::Unreachable { .. } | StoreError::Skewed(_) | StoreError::Changed(_) => {
            Exit::Temporary
        }
        StoreError::Missing(_) => Exit::NoInput,
        StoreError::Refused { .. } | StoreError::TooLarge(_) => Exit::Io,
        StoreError::Io { source, .. } => io_exit(source),
    }
}

/// The exit code for what is wrong with reading copies.
pub fn exit_of_copies(error: &CopyError) -> Exit {
    match error {
        CopyError::Store(error) => exit_of(error),
        CopyError::Place(_) => Exit::NoInput,
        CopyError::Registry(_) => Exit::Io,
        CopyError::Io { source, .. } => io_exit(source),
    }
}
