//! A scenario with the files that it names, for agents: they have none of them. What comes from
//! elsewhere is written under names of our own, so no path of another machine is ever followed.

use super::frames::FileHead;
use super::limits::{FILES_BYTES_MAX, FILES_MAX};
use crate::compile::{self, Compiled, Http};
use crate::run::Target;
use std::path::{Path, PathBuf};

/// Read whole; bounded.
#[derive(Clone, Debug)]
pub struct Bundle {
    pub name: String,
    pub text: String,
    pub url: String,
    pub files: Vec<(String, Vec<u8>)>,
}

impl Bundle {
    /// `url`: the target.
    pub fn read(scenario: &Path, url: &str) -> Result<Bundle, String> {
        let named = compile::named(scenario).map_err(|problems| problems.to_string())?;
        if named.len() > FILES_MAX {
            let found = named.len();
            return Err(format!("{found} files, agents take at most {FILES_MAX}"));
        }
        let failed = |file: &Path, error: std::io::Error| format!("{}: {error}", file.display());
        let mut bytes = 0;
        for file in &named {
            let size = std::fs::metadata(file).map_err(|error| failed(file, error))?;
            bytes += size.len();
        }
        if bytes > FILES_BYTES_MAX {
            return Err(format!(
                "the files that it names have {bytes} bytes, agents take at most {FILES_BYTES_MAX}"
            ));
        }
        let read = named.iter().map(|file| {
            let content = std::fs::read(file).map_err(|error| failed(file, error))?;
            Ok((file.display().to_string(), content))
        });
        let text = std::fs::read_to_string(scenario).map_err(|error| failed(scenario, error))?;
        Ok(Bundle {
            name: scenario.display().to_string(),
            text,
            url: url.to_owned(),
            files: read.collect::<Result<_, String>>()?,
        })
    }

    #[must_use]
    pub fn heads(&self) -> Vec<FileHead> {
        let heads = self.files.iter().map(|(name, content)| FileHead {
            name: name.clone(),
            bytes: content.len() as u64,
        });
        heads.collect()
    }

    /// As the coordinator read it, and its target; nothing of it is on a disk afterwards.
    pub fn ready(&self) -> Result<(Compiled, Target), String> {
        let folder = Folder::new()?;
        let failed = |error: std::io::Error| format!("a file could not be written: {error}");
        let mut others = Vec::new();
        for (at, (name, content)) in self.files.iter().enumerate() {
            // The ending says what a feeder's file is.
            let csv = Path::new(name).extension().is_some_and(|is| is == "csv");
            let ending = if csv { "csv" } else { "file" };
            let file = folder.0.join(format!("{at}.{ending}"));
            std::fs::write(&file, content).map_err(failed)?;
            others.push(file);
        }
        let compiled = compile::text_with(Path::new(&self.name), &self.text, &others);
        let compiled = compiled.map_err(|problems| problems.to_string())?;
        let target = target(&compiled, &self.url)?;
        Ok((compiled, target))
    }
}

/// As `seawall load run` makes it.
fn target(compiled: &Compiled, url: &str) -> Result<Target, String> {
    if compiled.target.http == Http::Two {
        return Err("target.http: this version sends HTTP/1.1 only, found 2".to_owned());
    }
    let roots = match url.starts_with("https://") {
        false => None,
        true => {
            let roots = crate::tls(compiled.target.ca_file.as_deref());
            Some(roots.map_err(|error| error.to_string())?)
        }
    };
    Target::new(url, roots).map_err(|error| error.to_string())
}

/// Of our own, gone when it is dropped.
pub(crate) struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Result<Folder, String> {
        let path = std::env::temp_dir().join(format!("seawall-agent-{}", super::token::fresh()?));
        use std::os::unix::fs::DirBuilderExt;
        let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| format!("cannot make {}: {error}", path.display()))?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Whoever cleans temporary folders gets what is left.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
