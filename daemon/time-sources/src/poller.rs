//! All time sources side by side: asked at once, each on a thread of its own,
//! and taken when a tick is due, whatever they have said by then.

use std::{
    sync::{
        Arc,
        mpsc::{self, Receiver, TryRecvError},
    },
    thread,
    time::{Duration, Instant},
};

use provenance_core::{
    encoding::time::Now,
    record::time_attestation::{Attestation, Source, State, judge},
};

use provenance_bitcoin_node::{self, Node};
use provenance_host::{
    clock::{self, Clock},
    config::{self, Config},
};

use crate::{
    chrony,
    gpsd::{self, Listener},
    nmea,
};

/// The longest that a tick waits for its sources.
pub const ROUND_TIMEOUT: Duration = Duration::from_secs(2);
/// A reading that came later than this after it was asked for is of no use.
const STALE: Duration = Duration::from_secs(10);

/// A receiver tells a fix each second, after it has been connected to.
const FIRST_FIX: Duration = Duration::from_secs(4);

type Ask = Arc<dyn Fn() -> Source<'static> + Send + Sync>;

/// Asks every source once, and judges as the daemon does; and the moment.
pub fn check(
    config: &Config,
    clock: impl Clock + Clone + Send + Sync + 'static,
) -> (Attestation<'static>, Now) {
    let begin = Instant::now();
    let mut panel = SourcePoller::new(config, clock.clone());
    panel.start_round();
    while begin.elapsed() < ROUND_TIMEOUT && !panel.is_complete() {
        thread::sleep(Duration::from_millis(5));
    }
    loop {
        let now = clock.now();
        let sources = panel.readings(&now);
        let waits = sources
            .iter()
            .any(|source| source.src.starts_with("gps:") && !matches!(source.state, State::Ok(_)));
        if !waits || begin.elapsed() > FIRST_FIX {
            return (judge(now.time, config.rule, None, sources), now);
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// The sources that the settings name.
pub struct SourcePoller {
    asked: Vec<PolledSource>,
    receiver: Option<Result<Listener, (&'static str, String)>>,
}

/// A source that is asked each time.
struct PolledSource {
    name: &'static str,
    ask: Ask,
    waiting: Option<(Receiver<Source<'static>>, Instant)>,
    answer: Option<Source<'static>>,
}

impl SourcePoller {
    /// Begins to listen to what is listened to.
    pub fn new(config: &Config, clock: impl Clock + Clone + Send + Sync + 'static) -> Self {
        let mut asked = vec![];
        if let Some(address) = config.sources.chrony.clone() {
            let (probe, clock) = (chrony::find_probe(), clock.clone());
            asked.push(PolledSource::new(chrony::NAME, move || {
                chrony::ask(&probe, &address, ROUND_TIMEOUT, || clock.now().time)
            }));
        }
        if let (true, Some(settings)) = (config.sources.bitcoin, &config.node) {
            let node = Node::new(&settings.rpc, settings.access.clone());
            let network = settings.network.clone();
            asked.push(PolledSource::new(provenance_bitcoin_node::time_source::NAME, move || {
                provenance_bitcoin_node::time_source::ask(&node, &network)
            }));
        }
        let receiver = config.sources.gps.as_ref().map(|receiver| match receiver {
            config::Receiver::Gpsd(address) => gpsd::listen(address, clock)
                .map_err(|error| (gpsd::NAME, format!("no thread to listen on: {error}"))),
            config::Receiver::Nmea { device, baud } => nmea::listen(device, *baud, clock)
                .map_err(|error| (nmea::NAME, format!("no thread to listen on: {error}"))),
        });
        Self { asked, receiver }
    }

    /// Asks all that are asked, except those still at work on the last
    /// question.
    pub fn start_round(&mut self) {
        self.asked.iter_mut().for_each(PolledSource::start_round);
    }

    /// Whether all have answered.
    pub fn is_complete(&mut self) -> bool {
        // Each is looked at, also behind one that is still at work.
        self.asked.iter_mut().filter_map(|asked| (!asked.readings()).then_some(())).count() == 0
    }

    /// What each gives at `now`, the kernel first; none is left out.
    pub fn readings(&mut self, now: &Now) -> Vec<Source<'static>> {
        let mut sources = vec![clock::kernel_source(now.time)];
        sources.extend(self.asked.iter_mut().map(PolledSource::take_reading));
        sources.extend(self.receiver.as_ref().map(|receiver| match receiver {
            Ok(listener) => listener.source(now),
            Err((name, why)) => Source::absent(name, why.clone()),
        }));
        sources
    }
}

impl PolledSource {
    fn new(name: &'static str, ask: impl Fn() -> Source<'static> + Send + Sync + 'static) -> Self {
        Self { name, ask: Arc::new(ask), waiting: None, answer: None }
    }

    fn start_round(&mut self) {
        self.readings();
        self.answer = None;
        if self.waiting.is_some() {
            return;
        }
        let (reply, waiting) = mpsc::channel();
        let ask = self.ask.clone();
        let thread = thread::Builder::new().name(self.name.into());
        // The answer of a thread that nobody waits for any more is dropped.
        match thread.spawn(move || drop(reply.send(ask()))) {
            Ok(_) => self.waiting = Some((waiting, Instant::now())),
            Err(error) => {
                let why = format!("no thread to ask on: {error}");
                self.answer = Some(Source::absent(self.name, why));
            }
        }
    }

    /// Takes what has come; whether there is nothing to wait for.
    fn readings(&mut self) -> bool {
        let Some((waiting, since)) = &self.waiting else { return true };
        match waiting.try_recv() {
            Ok(source) => {
                self.answer = Some(source).filter(|_| since.elapsed() <= STALE);
                self.waiting = None;
                true
            }
            Err(TryRecvError::Empty) => false,
            Err(TryRecvError::Disconnected) => {
                self.answer = Some(Source::rejected(self.name, "its reader failed", None));
                self.waiting = None;
                true
            }
        }
    }

    fn take_reading(&mut self) -> Source<'static> {
        self.readings();
        let since = self.waiting.as_ref().map(|(_, since)| since.elapsed().as_secs_f64());
        self.answer.clone().unwrap_or_else(|| {
            let why = match since {
                Some(seconds) => format!("no answer for {seconds:.1} s"),
                None => "its last answer came too late".into(),
            };
            Source::absent(self.name, why)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn reason(source: &Source<'_>) -> String {
        match &source.state {
            State::Absent(why) | State::Rejected(why) => why.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_source_that_hangs_is_absent_and_is_not_asked_twice_at_once() {
        let asked = Arc::new(AtomicU32::new(0));
        let count = asked.clone();
        let mut source = PolledSource::new("ntp:chrony", move || {
            count.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(400));
            Source::absent("ntp:chrony", "done")
        });
        for _ in 0..3 {
            source.start_round();
            assert!(!source.readings());
            assert!(reason(&source.take_reading()).starts_with("no answer for 0."));
        }
        thread::sleep(Duration::from_millis(600));
        assert!(source.readings());
        assert_eq!(reason(&source.take_reading()), "done");
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        source.start_round();
        thread::sleep(Duration::from_millis(600));
        assert_eq!(reason(&source.take_reading()), "done");
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }
}
