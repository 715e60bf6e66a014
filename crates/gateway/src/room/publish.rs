//! What the public may see of a draw, on disk before anybody sees it: the commitment when the room
//! is
//! announced, list and root when it is closed, the secret later. Each step is a new file that
//! replaces the old one whole, so that a crash never takes back what was said.

use super::draw::{Hash, List, Run, Urn};
use super::journal::sync_folder;
use super::proof::{ALGORITHM, Closed, Revealed, Transcript, buyer_hex, parse_list};
use super::{Hours, Keys, Now, Options, RoomError};
use crate::limits::ROOM_LIST_FILE_BYTES_MAX;
use bytes::Bytes;
use guard::room::Buyer;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

#[derive(Debug)]
pub struct Publisher {
    run: Run,
    secret: Secret,
    reveal_after_s: u64,
    transcript_path: PathBuf,
    list_path: PathBuf,
    shown: RwLock<Shown>,
    /// A list that is closed and not yet on disk: it must not be closed a second time.
    closing: Mutex<Option<Arc<List>>>,
}

struct Secret(Hash);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

#[derive(Clone, Debug)]
struct Shown {
    transcript: Transcript,
    json: Bytes,
    list: Option<Arc<List>>,
}

impl Publisher {
    /// Announces the draw, or goes on where the files stop. `None`: T0 has passed and nothing was
    /// ever announced, so there is no draw.
    pub fn open(
        options: &Options,
        hours: Hours,
        keys: &Keys,
        now: Now,
    ) -> Result<Option<Publisher>, RoomError> {
        let run = Run {
            room: options.name.clone(),
            t0_s: hours.t0_ms / 1_000,
        };
        let stem = format!("{}-{}", run.room, run.t0_s);
        let transcript_path = options.folder.join(format!("{stem}.json"));
        let list_path = options.folder.join(format!("{stem}.list"));
        let failed = |path: &Path, source| RoomError::File {
            room: run.room.clone(),
            path: path.to_owned(),
            source,
        };
        let secret = keys.secret(&run);
        let commitment = run.commitment(&secret);
        let found = read_text(&transcript_path).map_err(|e| failed(&transcript_path, e))?;
        let changed = |path: &Path, problem: String| RoomError::Published {
            room: run.room.clone(),
            path: path.to_owned(),
            problem,
        };
        let transcript = match found {
            Some(text) => {
                let found = Transcript::parse(&text);
                found.map_err(|error| changed(&transcript_path, error.to_string()))?
            }
            None if now.unix_s() >= run.t0_s => return Ok(None),
            None => Transcript {
                algorithm: ALGORITHM.to_owned(),
                room: run.room.clone(),
                t0: run.t0_s,
                commitment,
                committed_at: now.unix_s(),
                closed: None,
                revealed: None,
            },
        };
        if transcript.commitment != commitment {
            let problem = "the oldest key is not the one of the commitment";
            return Err(changed(&transcript_path, problem.to_owned()));
        }
        let list = match &transcript.closed {
            Some(closed) => {
                let text = read_text(&list_path).map_err(|error| failed(&list_path, error))?;
                let buyers = parse_list(&text.unwrap_or_default());
                let buyers = buyers.map_err(|error| changed(&list_path, error.to_string()))?;
                let list = List::close(buyers, &Urn::new(&secret));
                if list.root() != closed.root {
                    let problem = "the list does not have the published root".to_owned();
                    return Err(changed(&list_path, problem));
                }
                Some(Arc::new(list))
            }
            None => None,
        };
        let json = write_transcript(&transcript_path, &transcript)
            .map_err(|error| failed(&transcript_path, error))?;
        Ok(Some(Publisher {
            run,
            secret: Secret(secret),
            reveal_after_s: options.reveal_after.as_secs(),
            transcript_path,
            list_path,
            shown: RwLock::new(Shown {
                transcript,
                json,
                list,
            }),
            closing: Mutex::new(None),
        }))
    }

    pub fn run(&self) -> &Run {
        &self.run
    }

    /// The closed list, once its root is public.
    pub fn list(&self) -> Option<Arc<List>> {
        self.shown
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .list
            .clone()
    }

    /// The transcript as it is now.
    pub fn json(&self) -> Bytes {
        self.shown
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .json
            .clone()
    }

    /// Closes the list once and publishes its root. Repeat it after an error.
    pub fn close(
        &self,
        registered: impl FnOnce() -> Vec<Buyer>,
        urn: &Urn,
        now_s: u64,
    ) -> io::Result<()> {
        let mut shown = self.copy();
        if shown.list.is_some() {
            return Ok(());
        }
        let mut closing = self.closing.lock().unwrap_or_else(PoisonError::into_inner);
        let list = closing.get_or_insert_with(|| Arc::new(List::close(registered(), urn)));
        write_whole(&self.list_path, |file| {
            list.buyers()
                .iter()
                .try_for_each(|&buyer| writeln!(file, "{}", buyer_hex(buyer)))
        })?;
        shown.transcript.closed = Some(Closed {
            root: list.root(),
            count: list.buyers().len(),
            at: now_s,
        });
        shown.list = Some(Arc::clone(list));
        self.show(shown)?;
        *closing = None;
        Ok(())
    }

    /// Publishes the secret when it is time; cheap when it is not.
    pub fn reveal(&self, now_s: u64) -> io::Result<()> {
        {
            let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
            let closed = shown.transcript.closed.as_ref();
            let due = closed.is_some_and(|closed| now_s >= closed.at + self.reveal_after_s);
            if !due || shown.transcript.revealed.is_some() {
                return Ok(());
            }
        }
        let mut shown = self.copy();
        shown.transcript.revealed = Some(Revealed {
            secret: self.secret.0,
            at: now_s,
        });
        self.show(shown)
    }

    fn copy(&self) -> Shown {
        self.shown
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// On disk first, then for everybody.
    fn show(&self, mut shown: Shown) -> io::Result<()> {
        shown.json = write_transcript(&self.transcript_path, &shown.transcript)?;
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = shown;
        Ok(())
    }
}

fn write_transcript(path: &Path, transcript: &Transcript) -> io::Result<Bytes> {
    let mut json = serde_json::to_vec_pretty(transcript)?;
    json.push(b'\n');
    write_whole(path, |file| file.write_all(&json))?;
    Ok(json.into())
}

fn write_whole(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = BufWriter::new(File::create(&new)?);
    fill(&mut file)?;
    file.into_inner()
        .map_err(io::IntoInnerError::into_error)?
        .sync_all()?;
    std::fs::rename(&new, path)?;
    sync_folder(path)
}

fn read_text(path: &Path) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    let read = file
        .take(ROOM_LIST_FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)?;
    if read as u64 > ROOM_LIST_FILE_BYTES_MAX {
        return Err(io::Error::other("larger than any list of ours"));
    }
    Ok(Some(text))
}
