//! Where whole lines go: a file that may be moved away under us, or standard output. After a write
//! that failed in the middle the next one begins a new line, so that one torn line stays one.
//! It must not know what the lines say.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// For the owner and the group's programs that ship logs.
pub(crate) const READABLE: u32 = 0o640;
/// For the owner only.
pub(crate) const PRIVATE: u32 = 0o600;

/// Lines that were not written, and why.
#[derive(Debug)]
pub(crate) struct Lost {
    pub lines: u64,
    pub error: io::Error,
}

pub(crate) struct Output {
    to: To,
    /// What stands there does not end with a line's end.
    torn: bool,
    bytes: u64,
}

enum To {
    Stdout,
    File {
        file: File,
        path: PathBuf,
        mode: u32,
    },
    #[cfg(test)]
    Test(Box<dyn Write + Send>),
}

impl Output {
    pub fn stdout() -> Output {
        Output {
            to: To::Stdout,
            torn: false,
            bytes: 0,
        }
    }

    #[cfg(test)]
    pub fn test(to: impl Write + Send + 'static) -> Output {
        Output {
            to: To::Test(Box::new(to)),
            torn: false,
            bytes: 0,
        }
    }

    /// Appends to the file, which is made with this mode if it is not there.
    pub fn open(path: &Path, mode: u32) -> io::Result<Output> {
        let (file, bytes, torn) = open(path, mode)?;
        Ok(Output {
            to: To::File {
                file,
                path: path.to_owned(),
                mode,
            },
            torn,
            bytes,
        })
    }

    /// The file of that name anew. Nothing changes if that fails, or for standard output.
    pub fn reopen(&mut self) -> io::Result<()> {
        if let To::File { file, path, mode } = &mut self.to {
            (*file, self.bytes, self.torn) = open(path, *mode)?;
        }
        Ok(())
    }

    /// Moves the file to its name with `.1`, in place of what is there, and begins a new one.
    pub fn rotate(&mut self) -> io::Result<()> {
        if let To::File { path, .. } = &self.to {
            std::fs::rename(path, before(path))?;
        }
        self.reopen()
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn write(&mut self, lines: &[u8]) -> Result<(), Lost> {
        if self.torn {
            self.write_some(b"\n").map_err(|error| lost(lines, error))?;
            self.torn = false;
        }
        let mut rest = lines;
        while !rest.is_empty() {
            match self.write_some(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) => {
                    let written = &lines[..lines.len() - rest.len()];
                    self.torn = written.last().is_some_and(|last| *last != b'\n');
                    return Err(lost(rest, error));
                }
            }
        }
        Ok(())
    }

    fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            let written = match &mut self.to {
                To::File { file, .. } => file.write(bytes),
                To::Stdout => {
                    let mut out = io::stdout().lock();
                    out.write_all(bytes)
                        .and_then(|()| out.flush())
                        .map(|()| bytes.len())
                }
                #[cfg(test)]
                To::Test(to) => to.write(bytes),
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.bytes += written as u64;
                    return Ok(written);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The name of the file that was full before this one.
pub(crate) fn before(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".1");
    name.into()
}

fn lost(rest: &[u8], error: io::Error) -> Lost {
    let lines = memchr::memchr_iter(b'\n', rest).count() as u64;
    Lost { lines, error }
}

fn open(path: &Path, mode: u32) -> io::Result<(File, u64, bool)> {
    let open = |read| {
        OpenOptions::new()
            .append(true)
            .create(true)
            .read(read)
            .mode(mode)
            .open(path)
    };
    // A pipe or a device need not be readable.
    let mut file = match open(true) {
        Ok(file) => file,
        Err(_) => return Ok((open(false)?, 0, false)),
    };
    let about = file.metadata()?;
    let mut last = [b'\n'];
    if about.is_file() && about.len() > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    Ok((file, about.len(), last != *b"\n"))
}
