//! The frozen operations of a sync as records, made one part ahead of what is being sent.
//!
//! Reading and mapping a part takes as long as many requests. Done between two of them, all that is in flight would come
//! back and find nobody who sends the next; so another thread does it while a part is being sent.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use tokio::task::JoinHandle;

use super::Mapper;
use crate::destinations::Action;
use crate::diagnostic::{Error, Result};
use crate::mapping::Payload;
use crate::plan::operations::{Frozen, Head, Reader};

/// Operations of a part: as many as stay in the processor's cache with all that is made of them.
const PART: usize = 2048;

/// An operation that does something at the destination, and its record or why there is none.
pub struct Row {
    pub head: Head,
    pub action: Action,
    pub record: Result<Payload, String>,
}

/// Some operations in a row; `None` at the end.
type Part = Result<Option<Vec<Row>>>;

/// The mapping, which is also asked while a part is being made.
type Shared = Arc<Mutex<Box<dyn Mapper>>>;

/// Where records come from.
pub struct Feed {
    mapper: Shared,
    making: Option<JoinHandle<(Maker, Part)>>,
    made: Option<Part>,
}

struct Maker {
    operations: Reader,
    mapper: Shared,
}

impl Feed {
    /// Begins to make records. Must be called within a runtime.
    pub fn new(operations: Reader, mapper: Box<dyn Mapper>) -> Self {
        let (operations, mapper) = (operations.in_parts_of(PART), Arc::new(Mutex::new(mapper)));
        let making = Some(begin(Maker { operations, mapper: Arc::clone(&mapper) }));
        Self { mapper, making, made: None }
    }

    /// The records of other operations of the sync.
    ///
    /// # Errors
    /// As [`Mapper::records`].
    pub fn records(&self, frozen: &Frozen) -> Result<Vec<Option<Result<Payload, String>>>> {
        self.mapper.lock().unwrap_or_else(PoisonError::into_inner).records(frozen)
    }

    /// The next part, if it is ready.
    pub fn take(&mut self) -> Option<Part> {
        if self.made.is_none() {
            // Where it is not ready, who waits in `ready` asks again.
            let _ = self.ready().now_or_never();
        }
        self.made.take()
    }

    /// Waits until [`Feed::take`] gives something. May be given up at any time.
    pub async fn ready(&mut self) {
        let Some(making) = self.making.as_mut().filter(|_| self.made.is_none()) else { return };
        let part = match making.await {
            Ok((maker, part)) => {
                self.making = matches!(part, Ok(Some(_))).then(|| begin(maker));
                part
            }
            Err(e) => {
                self.making = None;
                Err(Error::failed(format!("the records of the sync cannot be made: {e}")))
            }
        };
        self.made = Some(part);
    }
}

fn begin(mut maker: Maker) -> JoinHandle<(Maker, Part)> {
    tokio::task::spawn_blocking(move || {
        let part = maker.part();
        (maker, part)
    })
}

impl Maker {
    fn part(&mut self) -> Part {
        let Some(frozen) = self.operations.next().transpose()? else { return Ok(None) };
        let records = self.mapper.lock().unwrap_or_else(PoisonError::into_inner).records(&frozen)?;
        let row = |(head, record): (Head, Option<Result<Payload, String>>)| {
            let (action, record) = (head.action?, record?);
            Some(Row { head, action, record })
        };
        Ok(Some(frozen.heads.into_iter().zip(records).filter_map(row).collect()))
    }
}
