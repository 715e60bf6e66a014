//! `seawall schema`: the JSON Schemas of the files that people write, for editors and pipelines.

use host::Exit;
use std::io::Write;
use std::process::ExitCode;
use wire::gateway::{FileKind, schema};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file that it describes.
    file: File,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum File {
    Gateway,
    Limits,
    Switches,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let kind = match args.file {
        File::Gateway => FileKind::Gateway,
        File::Limits => FileKind::Limits,
        File::Switches => FileKind::Switches,
    };
    std::io::stdout().write_all(schema::text(kind).as_bytes())?;
    Ok(Exit::Good.into())
}
