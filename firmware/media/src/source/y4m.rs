//! Y4M from a file, played in a loop, or from a FIFO, as it comes.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::OFlags;

use crate::source::pace::Pace;
use crate::source::y4m_reader::Y4mReader;
use crate::source::{Polled, VideoSource};
use crate::{Frame, FramePool, SourceError, Timestamp};

/// Bytes read at once: what a pipe holds.
const CHUNK: usize = 64 * 1024;

/// Opens a Y4M file or FIFO.
pub(crate) fn open(path: &Path, pool: FramePool) -> Result<Box<dyn VideoSource>, SourceError> {
    let what = format!("y4m: {}", path.display());
    let kind = std::fs::metadata(path)
        .map_err(SourceError::io(&what))?
        .file_type();
    if kind.is_fifo() {
        Ok(Box::new(Y4mFifo::open(path, what, pool)?))
    } else if kind.is_file() {
        Ok(Box::new(Y4mFile::open(path, what, pool)?))
    } else {
        Err(SourceError::unusable(what, "is neither a file nor a FIFO"))
    }
}

/// A file, at its own frame rate, again and again.
struct Y4mFile {
    what: String,
    file: BufReader<File>,
    pool: FramePool,
    reader: Y4mReader,
    pace: Option<Pace>,
    cut_off_told: bool,
}

impl Y4mFile {
    fn open(path: &Path, what: String, pool: FramePool) -> Result<Self, SourceError> {
        let file = File::open(path).map_err(SourceError::io(&what))?;
        let file = BufReader::with_capacity(CHUNK, file);
        let reader = Y4mReader::new(pool.clone());
        Ok(Self {
            what,
            file,
            pool,
            reader,
            pace: None,
            cut_off_told: false,
        })
    }

    /// Reads up to the end of the next frame; none at the end of the file.
    fn read_frame(&mut self) -> Result<Option<Frame>, SourceError> {
        loop {
            let bytes = self.file.fill_buf().map_err(SourceError::io(&self.what))?;
            if bytes.is_empty() {
                return Ok(None);
            }
            let (used, frame) = self
                .reader
                .push(bytes, Timestamp::now())
                .map_err(|reason| SourceError::unusable(&self.what, reason))?;
            self.file.consume(used);
            if frame.is_some() {
                return Ok(frame);
            }
        }
    }

    /// Starts over at the end of the file.
    fn rewind(&mut self) -> Result<Polled, SourceError> {
        let cut_off = self.reader.cut_off();
        if self.reader.frames() == 0 {
            let reason = cut_off.unwrap_or_else(|| "has no frames".to_owned());
            return Err(SourceError::unusable(&self.what, reason));
        }
        self.file.rewind().map_err(SourceError::io(&self.what))?;
        self.reader = Y4mReader::new(self.pool.clone());
        match cut_off {
            Some(cut_off) if !self.cut_off_told => {
                self.cut_off_told = true;
                Ok(Polled::Notice(format!(
                    "{}: {cut_off}; playing the complete frames in a loop",
                    self.what
                )))
            }
            _ => Ok(Polled::Idle),
        }
    }
}

impl VideoSource for Y4mFile {
    fn next(&mut self, timeout: Duration) -> Result<Polled, SourceError> {
        let now = Instant::now();
        let wait = self
            .pace
            .as_ref()
            .map_or(Duration::ZERO, |pace| pace.wait(now));
        std::thread::sleep(wait.min(timeout));
        if wait > timeout {
            return Ok(Polled::Idle);
        }
        let Some(frame) = self.read_frame()? else {
            return self.rewind();
        };
        if self.pace.is_none() {
            self.pace = self.reader.header().map(|header| {
                let interval = Duration::from_secs(1) * header.rate.1 / header.rate.0;
                Pace::new(now, interval)
            });
        }
        if let Some(pace) = &mut self.pace {
            pace.beat(Instant::now());
        }
        Ok(Polled::Frame(frame))
    }
}

/// A FIFO, as fast as its writer writes. When the writer leaves, the next one is waited for.
struct Y4mFifo {
    path: PathBuf,
    what: String,
    file: File,
    pool: FramePool,
    reader: Y4mReader,
    chunk: Vec<u8>,
    unread: std::ops::Range<usize>,
}

impl Y4mFifo {
    fn open(path: &Path, what: String, pool: FramePool) -> Result<Self, SourceError> {
        let file = open_fifo(path).map_err(SourceError::io(&what))?;
        let reader = Y4mReader::new(pool.clone());
        Ok(Self {
            path: path.to_owned(),
            what,
            file,
            pool,
            reader,
            chunk: vec![0; CHUNK],
            unread: 0..0,
        })
    }

    /// The writer has closed its end. Its hang-up sticks to the file, so the FIFO is opened anew.
    fn reopen(&mut self) -> Result<Polled, SourceError> {
        self.file = open_fifo(&self.path).map_err(SourceError::io(&self.what))?;
        let started = self.reader.header().is_some();
        let cut_off =
            std::mem::replace(&mut self.reader, Y4mReader::new(self.pool.clone())).cut_off();
        let line = match cut_off {
            Some(cut_off) => format!("{}: {cut_off}; waiting for the next writer", self.what),
            None => format!("{}: the writer left; waiting for the next one", self.what),
        };
        // A writer that opened and closed without a word is not worth a line.
        Ok(if started {
            Polled::Notice(line)
        } else {
            Polled::Idle
        })
    }
}

/// Opens without waiting for a writer.
fn open_fifo(path: &Path) -> std::io::Result<File> {
    std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits() as i32)
        .open(path)
}

impl VideoSource for Y4mFifo {
    fn next(&mut self, timeout: Duration) -> Result<Polled, SourceError> {
        let deadline = Instant::now() + timeout;
        loop {
            if self.unread.is_empty() {
                let left = deadline.saturating_duration_since(Instant::now());
                if !readable(&self.file, left).map_err(SourceError::io(&self.what))? {
                    return Ok(Polled::Idle);
                }
                match self.file.read(&mut self.chunk) {
                    Ok(0) => return self.reopen(),
                    Ok(count) => self.unread = 0..count,
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                    Err(error) => return Err(SourceError::io(&self.what)(error)),
                }
            }
            let bytes = &self.chunk[self.unread.clone()];
            match self.reader.push(bytes, Timestamp::now()) {
                Ok((used, frame)) => {
                    self.unread.start += used;
                    if let Some(frame) = frame {
                        return Ok(Polled::Frame(frame));
                    }
                }
                Err(reason) => return Err(SourceError::unusable(&self.what, reason)),
            }
        }
    }
}

/// Waits until a file can be read, or its other end is gone.
pub(crate) fn readable(file: &impl std::os::fd::AsFd, timeout: Duration) -> std::io::Result<bool> {
    let mut fds = [PollFd::new(file, PollFlags::IN)];
    poll(&mut fds, timeout)
}

/// Waits for any of the files; an interrupted wait counts as nothing to read.
pub(crate) fn poll(fds: &mut [PollFd<'_>], timeout: Duration) -> std::io::Result<bool> {
    let timeout = rustix::event::Timespec::try_from(timeout).ok();
    match rustix::event::poll(fds, timeout.as_ref()) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
