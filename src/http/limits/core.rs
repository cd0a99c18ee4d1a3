//! The limits without a clock and without waiting: who may go, and when to ask again.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use indexmap::IndexMap;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::LimitError;
use super::bucket::Rolling;
use super::day::Day;
use crate::manifest::connector::api::Bucket;

/// What time it is: by a clock that only goes forward, and by the one on the wall.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) since: Duration,
    pub(super) wall: Timestamp,
}

/// Whether a request may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It may; it has.
    Go,
    /// Not before this moment.
    At(Duration),
    /// Not before something changes.
    Later,
}

#[derive(Debug)]
struct Named {
    name: String,
    rolling: Option<Rolling>,
    day: Option<Day>,
    concurrent: Option<u32>,
    flying: u32,
}

#[derive(Debug)]
struct Flight {
    buckets: Vec<usize>,
    went: Duration,
}

#[derive(Debug)]
pub(super) struct Core {
    buckets: Vec<Named>,
    /// What counts in no limit by time is watched here, in case the vendor has one after all.
    rest: Rolling,
    paused: Duration,
    last: u64,
    queue: VecDeque<(u64, Vec<usize>)>,
    flights: BTreeMap<u64, Flight>,
}

impl Core {
    pub(super) fn new(buckets: &IndexMap<String, Bucket>, wall: Timestamp) -> Result<Self, LimitError> {
        let buckets = buckets.iter().map(|(name, bucket)| named(name, bucket, wall)).collect::<Result<_, _>>()?;
        let (queue, flights) = (VecDeque::new(), BTreeMap::new());
        Ok(Self { buckets, rest: Rolling::new(None), paused: Duration::ZERO, last: 0, queue, flights })
    }

    /// Queues up.
    pub(super) fn join(&mut self, names: &[String]) -> Result<u64, LimitError> {
        let mut wanted = Vec::with_capacity(names.len());
        for name in names {
            let place = self.buckets.iter().position(|bucket| bucket.name == *name);
            let place = place.ok_or_else(|| LimitError::Unknown(name.clone()))?;
            if !wanted.contains(&place) {
                wanted.push(place);
            }
        }
        self.last += 1;
        self.queue.push_back((self.last, wanted));
        Ok(self.last)
    }

    /// Leaves the queue without having gone.
    pub(super) fn leave(&mut self, id: u64) {
        self.queue.retain(|(waiting, _)| *waiting != id);
    }

    /// Asks whether it is the turn of one who queues; then it goes.
    pub(super) fn turn(&mut self, id: u64, now: Now) -> Result<Turn, LimitError> {
        let Some(place) = self.queue.iter().position(|(waiting, _)| *waiting == id) else { return Ok(Turn::Later) };
        let Some(wanted) = self.queue.get(place).map(|(_, wanted)| wanted.clone()) else { return Ok(Turn::Later) };
        // In order where a limit is shared; requests with nothing in common do not wait for each other.
        if self.queue.iter().take(place).any(|(_, other)| other.iter().any(|bucket| wanted.contains(bucket))) {
            return Ok(Turn::Later);
        }
        let mut at = self.paused;
        let mut full = false;
        let mut rolling = false;
        for bucket in self.wanted(&wanted) {
            if let Some(day) = &mut bucket.day {
                day.look(now.wall);
                if day.left() == 0 {
                    return Err(day.exhausted(&bucket.name));
                }
            }
            full |= bucket.concurrent.is_some_and(|most| bucket.flying >= most);
            if let Some(limit) = &bucket.rolling {
                at = at.max(limit.free_at(now.since));
                rolling = true;
            }
        }
        if !rolling {
            at = at.max(self.rest.free_at(now.since));
        }
        if full {
            return Ok(Turn::Later);
        }
        if at > now.since {
            return Ok(Turn::At(at));
        }
        self.queue.remove(place);
        self.go(id, wanted, now.since);
        Ok(Turn::Go)
    }

    fn wanted<'a>(&'a mut self, wanted: &'a [usize]) -> impl Iterator<Item = &'a mut Named> {
        self.buckets.iter_mut().enumerate().filter(|(place, _)| wanted.contains(place)).map(|(_, bucket)| bucket)
    }

    /// The limits by time a request counts in.
    fn rolling<'a>(&'a mut self, wanted: &'a [usize]) -> Vec<&'a mut Rolling> {
        let Self { buckets, rest, .. } = self;
        let named = buckets.iter_mut().enumerate().filter(|(place, _)| wanted.contains(place));
        let mut all: Vec<_> = named.filter_map(|(_, bucket)| bucket.rolling.as_mut()).collect();
        if all.is_empty() {
            all.push(rest);
        }
        all
    }

    fn go(&mut self, id: u64, buckets: Vec<usize>, now: Duration) {
        for bucket in self.wanted(&buckets) {
            bucket.flying += 1;
            if let Some(day) = &mut bucket.day {
                day.go();
            }
        }
        for limit in self.rolling(&buckets) {
            limit.go(id, now);
        }
        self.flights.insert(id, Flight { buckets, went: now });
    }

    /// The answer is there.
    pub(super) fn release(&mut self, id: u64, now: Now) {
        let Some(flight) = self.flights.remove(&id) else { return };
        for bucket in self.wanted(&flight.buckets) {
            bucket.flying -= 1;
        }
        for limit in self.rolling(&flight.buckets) {
            limit.answered(id, now.since);
        }
    }

    pub(super) fn pause(&mut self, until: Duration) {
        self.paused = self.paused.max(until);
    }

    pub(super) fn throttled(&mut self, id: u64, now: Now) {
        let Some(flight) = self.flights.get(&id) else { return };
        let (buckets, went) = (flight.buckets.clone(), flight.went);
        for limit in self.rolling(&buckets) {
            limit.halve(went, now.since);
        }
    }

    fn day(&mut self, name: &str, wall: Timestamp) -> Option<&mut Day> {
        let day = self.buckets.iter_mut().find(|bucket| bucket.name == name)?.day.as_mut()?;
        day.look(wall);
        Some(day)
    }

    pub(super) fn set_used(&mut self, name: &str, used: u64, now: Now) {
        if let Some(day) = self.day(name, now.wall) {
            day.set_used(used);
        }
    }

    pub(super) fn left(&mut self, name: &str, now: Now) -> Option<u64> {
        self.day(name, now.wall).map(|day| day.left())
    }

    pub(super) fn estimate(&mut self, names: &[String], requests: u64, now: Now) -> f64 {
        let mut most = self.paused.saturating_sub(now.since).as_secs_f64();
        for bucket in self.buckets.iter_mut().filter(|bucket| names.contains(&bucket.name)) {
            if let Some(day) = &mut bucket.day {
                day.look(now.wall);
                most = most.max(day.seconds(requests, now.wall));
            }
            if let Some(limit) = &bucket.rolling {
                most = most.max(limit.seconds(requests, now.since));
            }
        }
        most
    }
}

fn named(name: &str, bucket: &Bucket, wall: Timestamp) -> Result<Named, LimitError> {
    let invalid = |message: String| LimitError::Invalid { bucket: name.to_owned(), message };
    if bucket.requests.is_none() && bucket.concurrent.is_none() {
        return Err(invalid("it limits nothing: give `requests` or `concurrent`".into()));
    }
    if bucket.requests == Some(0) || bucket.concurrent == Some(0) {
        return Err(invalid("a limit of 0 lets nothing through".into()));
    }
    let by_day = bucket.per == "day";
    if !by_day && (bucket.timezone.is_some() || bucket.reserve.is_some() || bucket.used.is_some()) {
        return Err(invalid("`timezone`, `reserve` and `used` go with `per: day`".into()));
    }
    let zone = match bucket.timezone.as_deref() {
        Some(zone) => TimeZone::get(zone)
            .map_err(|_| invalid(format!("there is no time zone `{zone}`; one is written like `America/Chicago`")))?,
        None => TimeZone::UTC,
    };
    let span = (!by_day).then(|| span(&bucket.per)).transpose().map_err(invalid)?;
    let rolling = bucket.requests.zip(span).map(|(requests, per)| Rolling::new(Some((requests as usize, per))));
    let day = bucket.requests.filter(|_| by_day).map(|requests| Day::new(requests, bucket.reserve, zone, wall));
    Ok(Named { name: name.to_owned(), rolling, day, concurrent: bucket.concurrent, flying: 0 })
}

/// A span of time: `1s`, `20s`, `1m`, `1h`.
fn span(text: &str) -> Result<Duration, String> {
    let number = |unit: char| text.strip_suffix(unit).and_then(|number| number.parse::<u32>().ok());
    let seconds = number('s').or_else(|| number('m')?.checked_mul(60)).or_else(|| number('h')?.checked_mul(3600));
    match seconds {
        Some(1..=86400) => Ok(Duration::from_secs(seconds.map_or(0, u64::from))),
        _ => Err(format!("`per: {text}` is not understood; it is `1s`, `20s`, `1m`, `1h` or the like, or `day`")),
    }
}
