//! The event loop of `watch`: ticks, frames, keys and signals, and the end.

use std::{collections::BTreeSet, path::Path, process::ExitCode, time::Duration};

use anyhow::Context as _;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};

use super::{
    display,
    shown::{Ended, Shown},
    signals::{Asked, Signals},
    threads::WatchedThreads,
    timer::WatchedTimer,
    tui::Request,
};
use crate::{
    cli::{ColorWhen, WatchArgs},
    output,
};
use host::time;
use model::Options;
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
        slow_ns: args.slow_ns().filter(|_| !display::wants_screen(args)),
    };
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            output::forgiven(watch(args, color, root, options).await)?;
            Ok(ExitCode::SUCCESS)
        })
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
    let signals = Signals::new()?;
    match Watcher::start(root, args.via, options.clone()) {
        Ok(started) => {
            let shown = WatchedTimer::open(args, color, root, started)?;
            until_the_end(args, shown, signals).await
        }
        Err(error) if monitor::is_of_threads(&error) => {
            let shown = WatchedThreads::open(args, color, root, options)?;
            until_the_end(args, shown, signals).await
        }
        Err(error) => Err(error),
    }
}

async fn until_the_end(
    args: &WatchArgs,
    mut shown: impl Shown,
    mut signals: Signals,
) -> anyhow::Result<()> {
    let ended = follow(args, &mut shown, &mut signals).await?;
    shown.end(ended)
}

async fn follow(
    args: &WatchArgs,
    shown: &mut impl Shown,
    signals: &mut Signals,
) -> anyhow::Result<Ended> {
    // A time too far away for the clock is no end.
    let after = |duration| Instant::now().checked_add(duration);
    let end = args.duration.and_then(after);
    let interval = args.interval.unwrap_or(JSON_INTERVAL);
    let mut next_interval = after(interval);
    let (mut ticks, mut frames) = (every(TICK), every(FRAME));
    let has_screen = shown.has_screen();
    loop {
        tokio::select! {
            _ = ticks.tick() => shown.tick()?,
            _ = frames.tick(), if has_screen => {}
            request = shown.input() => match request? {
                Some(Request::Quit { keep: true }) => return Ok(Ended::KeepScreen),
                Some(Request::Quit { keep: false }) => return Ok(Ended::Away),
                Some(request) => shown.answer(request)?,
                None => {}
            },
            asked = signals.next() => match asked {
                Asked::End => return Ok(Ended::Away),
                Asked::GoOn => shown.resume()?,
            },
            () = at(end) => return Ok(Ended::KeepScreen),
        }
        if next_interval.is_some_and(|next| Instant::now() >= next) {
            shown.interval()?;
            next_interval = after(interval);
        }
        shown.draw(time::monotonic_ns()?)?;
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
