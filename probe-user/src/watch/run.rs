//! The event loop of `watch`: ticks, frames, keys and signals, and the end.

use std::{collections::BTreeSet, path::Path, process::ExitCode, time::Duration};

use anyhow::Context as _;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};

use super::{
    beginning::Beginning,
    display::{self, Display},
    signals::{Asked, Signals},
    tui::Request,
};
use crate::{
    cli::{ColorWhen, WatchArgs},
    headline::DEFAULT_MAX_NS,
    output,
};
use host::time;
use model::{Options, Output, Span, Topic};
use monitor::{TICK, Watcher};

/// How often a screen is drawn while no key is pressed: the countdown moves.
const FRAME: Duration = Duration::from_millis(500);

/// How often JSON is summed up unless told otherwise.
const JSON_INTERVAL: Duration = Duration::from_secs(10);

/// Watches until the duration is over, a key or a signal asks to end.
///
/// # Errors
///
/// When this host cannot be measured, or what was found cannot be written.
pub fn run(args: &WatchArgs, color: ColorWhen, root: &Path) -> anyhow::Result<ExitCode> {
    let options = Options {
        netns: wanted_namespaces(args, root)?,
        // The screen's timeline has every call, and its log those that are slow.
        slow_ns: slow_ns(args).filter(|_| !display::wants_screen(args)),
    };
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            output::forgiven(watch(args, color, root, options).await)?;
            Ok(ExitCode::SUCCESS)
        })
}

/// What `--slow` says, in nanoseconds.
#[must_use]
pub fn slow_ns(args: &WatchArgs) -> Option<u64> {
    let slow = args.slow?;
    Some(u64::try_from(slow.as_nanos()).unwrap_or(u64::MAX))
}

/// What `--max` says or leaves to the default, in nanoseconds.
#[must_use]
pub fn max_ns(args: &WatchArgs) -> u64 {
    let nanoseconds = |max: Duration| u64::try_from(max.as_nanos()).unwrap_or(u64::MAX);
    args.max.map_or(DEFAULT_MAX_NS, nanoseconds)
}

/// The inode numbers of the namespaces that `--netns` names; `None`: all.
fn wanted_namespaces(args: &WatchArgs, root: &Path) -> anyhow::Result<Option<BTreeSet<u32>>> {
    if args.netns.is_empty() {
        return Ok(None);
    }
    let inodes = args.netns.iter().map(|name| {
        name.inode(root)
            .with_context(|| format!("--netns {name} cannot be used"))
    });
    inodes.collect::<anyhow::Result<_>>().map(Some)
}

async fn watch(
    args: &WatchArgs,
    color: ColorWhen,
    root: &Path,
    options: Options,
) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let (mut watcher, outputs) = Watcher::start(root, options)?;
    let beginning = Beginning::new(
        root,
        watcher.started_ns(),
        &watcher.clock()?,
        watcher.root_netns(),
    );
    let mut display = Display::open(args, color, &beginning)?;
    display.name(&watcher);
    display.outputs(&outputs)?;
    if let Some(hidden) = watcher.owners().told_hidden() {
        display.warn(&watcher, hidden)?;
    }
    display.ticked(&mut watcher)?;
    let ended = until_the_end(args, &mut watcher, &mut display, &mut signals).await?;
    end(watcher, display, ended, max_ns(args))
}

/// How a watch came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// The screen goes.
    Away,
    /// The last screen stays on the terminal.
    KeepScreen,
}

async fn until_the_end(
    args: &WatchArgs,
    watcher: &mut Watcher,
    display: &mut Display,
    signals: &mut Signals,
) -> anyhow::Result<Ended> {
    // A time too far away for the clock is no end.
    let after = |duration| Instant::now().checked_add(duration);
    let end = args.duration.and_then(after);
    let interval = args.interval.unwrap_or(JSON_INTERVAL);
    let mut next_interval = after(interval);
    let (mut ticks, mut frames) = (every(TICK), every(FRAME));
    let has_screen = matches!(display, Display::Screen(_));
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                display.outputs(&watcher.tick()?)?;
                display.ticked(watcher)?;
            }
            _ = frames.tick(), if has_screen => {}
            request = display.input() => match request? {
                Some(Request::Quit { keep: true }) => return Ok(Ended::KeepScreen),
                Some(Request::Quit { keep: false }) => return Ok(Ended::Away),
                Some(request) => answer(request, watcher, display)?,
                None => {}
            },
            asked = signals.next() => match asked {
                Asked::End => return Ok(Ended::Away),
                Asked::GoOn => display.resume()?,
            },
            () = at(end) => return Ok(Ended::KeepScreen),
        }
        if next_interval.is_some_and(|next| Instant::now() >= next) {
            display.interval(watcher)?;
            next_interval = after(interval);
        }
        display.draw(time::monotonic_ns()?)?;
    }
}

fn answer(request: Request, watcher: &mut Watcher, display: &mut Display) -> anyhow::Result<()> {
    match request {
        Request::Quit { .. } => {}
        Request::Suspend => display.suspend()?,
        Request::Reset => {
            display.outputs(&watcher.reset()?)?;
            display.ticked(watcher)?;
        }
        Request::Mark => {
            let mark = watcher.notice(Topic::Mark, "marked".into())?;
            display.outputs(&[mark])?;
        }
    }
    Ok(())
}

fn end(mut watcher: Watcher, display: Display, ended: Ended, max_ns: u64) -> anyhow::Result<()> {
    match display {
        Display::Screen(screen) => screen
            .close(ended == Ended::KeepScreen)
            .context(display::CANNOT_WRITE),
        Display::Stream(mut sink) => {
            let mut last = watcher.tick()?;
            last.extend(watcher.flush());
            last.sort_by_key(Output::start_ns);
            sink.outputs(&last).context(display::CANNOT_WRITE)?;
            drop(last);
            // One after the other: of many namespaces each is large.
            let interval = watcher.interval()?;
            sink.interval(&interval).context(display::CANNOT_WRITE)?;
            drop(interval);
            let worst = watcher.overview()?.worst(Span::All, max_ns);
            let summary = watcher.summary()?;
            sink.summary(&summary, worst).context(display::CANNOT_WRITE)
        }
    }
}

fn every(period: Duration) -> Interval {
    let mut ticks = interval_at(Instant::now() + period, period);
    // After a suspension one look is enough to catch up.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn at(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
}
