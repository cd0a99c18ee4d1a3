//! Which fields destinations have: from the cache, or asked where it is too old. A plan is made all the same where
//! nobody answers.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::outside::{Outside, words};
use crate::destinations::{Discovered, SendError};
use crate::diagnostic::{Error, Result};
use crate::plan::Notice;
use crate::project::{Project, ResolvedSync};
use crate::state::Reading;
use crate::state::discovered::{Discoveries, Discovery};

/// How long a plan waits for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is known of the fields of an object.
#[derive(Clone, Default)]
pub(super) struct Known {
    pub fields: Option<Discovered>,
    /// True when it was not asked in this command.
    pub cached: bool,
}

/// Asks destinations for their fields, each object once.
pub(super) struct Discoverer<'p> {
    project: &'p Project,
    cache: Discoveries,
    known: HashMap<String, Known>,
    outside: HashMap<String, Outside<'p>>,
    runtime: Option<tokio::runtime::Runtime>,
    /// Destinations that did not answer.
    silent: HashSet<String>,
    pub warnings: Vec<Notice>,
}

impl<'p> Discoverer<'p> {
    pub fn new(project: &'p Project, state: &Reading) -> Self {
        Self {
            project,
            cache: state.discoveries(),
            known: HashMap::new(),
            outside: HashMap::new(),
            runtime: None,
            silent: HashSet::new(),
            warnings: Vec::new(),
        }
    }

    /// The fields a sync's object has, as far as they are known; `anew`: whatever the cache says.
    pub fn fields(&mut self, sync: &ResolvedSync, anew: bool) -> Known {
        let Some(destination) = self.project.destinations.get(&sync.destination) else { return Known::default() };
        if !self.project.can_be_asked(sync) {
            return Known::default();
        }
        let (object, options) = (&sync.sync.object, &sync.sync.options);
        let name = Discoveries::name(&sync.destination, &destination.digest, object, options);
        if let Some(known) = self.known.get(&name).filter(|known| !anew || !known.cached) {
            return known.clone();
        }
        if let Some(kept) = self.cache.get(&name).filter(|_| !anew) {
            if let Some(refused) = &kept.refused {
                let help = format!("the next plan after {} asks anew", kept.counts_until().strftime("%H:%M UTC"));
                self.failed(sync, &format!("{refused} (said {})", ago(kept.asked_at)), Some(&help));
            }
            let known = Known { fields: kept.discovered, cached: true };
            self.known.insert(name, known.clone());
            return known;
        }
        let fields = self.ask(sync, &name);
        let known = Known { fields, cached: false };
        self.known.insert(name, known.clone());
        known
    }

    fn ask(&mut self, sync: &ResolvedSync, name: &str) -> Option<Discovered> {
        // Without credentials nothing is asked; that they are missing is said elsewhere.
        if self.silent.contains(&sync.destination) || self.project.destination_connection(&sync.destination).is_err() {
            return None;
        }
        let answer = match self.asked(sync) {
            Ok(answer) => answer,
            Err(error) => {
                self.failed(sync, &error.to_string(), error.help());
                return None;
            }
        };
        let (kept, fields) = match answer {
            Ok(None) => return None,
            Ok(Some(fields)) => (Ok(fields.clone()), Some(fields)),
            Err((message, help, final_word)) => {
                self.failed(sync, &message, help.as_deref());
                if !final_word {
                    return None;
                }
                (Err(message), None)
            }
        };
        if let Err(error) = self.cache.put(name, &Discovery::now(&sync.destination, &sync.sync.object, kept)) {
            tracing::debug!("{error}");
        }
        fields
    }

    /// Asks. The inner error: what happened, what to do, and whether it is worth being remembered: credentials and quotas
    /// are put right from one minute to the next.
    #[allow(clippy::type_complexity)]
    fn asked(&mut self, sync: &ResolvedSync) -> Result<Result<Option<Discovered>, (String, Option<String>, bool)>> {
        let name = &sync.destination;
        if !self.outside.contains_key(name) {
            let outside = Outside::to_look(self.project, std::iter::once(name.as_str()))?;
            self.outside.insert(name.clone(), outside);
        }
        let Some(outside) = self.outside.get_mut(name) else { return Ok(Ok(None)) };
        let opened = outside.destination(name)?;
        let runtime = match &mut self.runtime {
            Some(runtime) => runtime,
            none => none.insert(super::outside::runtime()?),
        };
        let asking = opened.destination.fields(&sync.sync.object, &sync.sync.options);
        let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, asking).await });
        Ok(match answer {
            Ok(Ok(fields)) => Ok(fields),
            Ok(Err(error)) => {
                let (message, help) = words(&error);
                // Where it is known what to do (credentials, quotas, something that is not there yet), somebody will do it.
                let final_word = matches!(error, SendError::Refused { .. } | SendError::Fatal { help: None, .. });
                Err((opened.redactor.redact(&message), help, final_word))
            }
            Err(_) => Err((format!("no answer within {} s", PATIENCE.as_secs()), None, false)),
        })
    }

    fn failed(&mut self, sync: &ResolvedSync, message: &str, help: Option<&str>) {
        let destination = &sync.destination;
        if !self.silent.insert(destination.clone()) {
            return;
        }
        self.warnings.push(Notice {
            code: "discovery_failed".into(),
            sync: Some(sync.name.clone()),
            message: format!(
                "the fields of `{}` were not checked: `{destination}` does not say them: {message}",
                sync.name
            ),
            help: Some(help.map_or_else(|| "`syncline doctor` says more".to_owned(), str::to_owned)),
            ..Notice::default()
        });
    }
}

/// How long ago something was said, within the hour a refusal counts.
fn ago(at: jiff::Timestamp) -> String {
    match jiff::Timestamp::now().duration_since(at).as_secs() / 60 {
        ..1 => "less than a minute ago".to_owned(),
        minutes => format!("{minutes} min ago"),
    }
}

/// Faults of a sync's fields. What the cache is the reason for is asked once more before it is said.
pub(super) fn check(
    discoverer: &mut Discoverer<'_>,
    project: &Project,
    sync: &ResolvedSync,
    schema: &arrow_schema::Schema,
) -> Result<()> {
    let known = discoverer.fields(sync, false);
    let mut faults = project.field_faults(sync, schema, known.fields.as_ref());
    if !faults.is_empty() && known.cached && known.fields.is_some() {
        let anew = discoverer.fields(sync, true);
        // Where nobody answers, what was said last counts.
        if anew.fields.is_some() {
            faults = project.field_faults(sync, schema, anew.fields.as_ref());
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
}
