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
    Scenario,
    Rehearsal,
    Services,
    Campaign,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let text = match args.file {
        File::Gateway => schema::text(FileKind::Gateway),
        File::Limits => schema::text(FileKind::Limits),
        File::Switches => schema::text(FileKind::Switches),
        File::Scenario => wire::scenario::schema_text(),
        File::Rehearsal => wire::rehearsal::schema_text(),
        File::Campaign => wire::campaign::keys::schema_text(),
        File::Services => wire::services::schema_text(),
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(Exit::Good.into())
}
