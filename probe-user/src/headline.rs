//! The first line of `check` and of the screen: the worst that packets wait for, in at most 80 characters.

use crate::watch::grouped;
use model::Worst;
use model::durations::readable;

/// What node-problem-detector shows of a plugin's output (`max_output_length` of its custom plugin monitor), and the
/// columns of the smallest terminals.
pub const WIDTH: usize = 80;

/// The longest wait that is no problem, in nanoseconds, unless `--max` says otherwise: 10 ms.
pub const DEFAULT_MAX_NS: u64 = 10_000_000;

/// How bad a wait is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// Up to a tenth of the maximum.
    Ok,
    /// Over a tenth of the maximum.
    Slow,
    /// Over the maximum.
    Stall,
}

impl Grade {
    /// Returns the grade of a wait of `stall_ns`, where more than `max_ns` is a stall.
    #[must_use]
    pub fn of(stall_ns: u64, max_ns: u64) -> Self {
        if stall_ns > max_ns {
            Self::Stall
        } else if stall_ns > max_ns / 10 {
            Self::Slow
        } else {
            Self::Ok
        }
    }

    /// Returns the word that the line begins with.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Slow => "SLOW",
            Self::Stall => "STALL",
        }
    }
}

/// Returns the line for the worst stall of a node: in namespace `name`, and `who` lives there where that and the number of
/// estimators fit.
#[must_use]
pub fn line(worst: &Worst, max_ns: u64, name: &str, who: Option<&str>) -> String {
    let grade = Grade::of(worst.stall_ns(), max_ns).word();
    let took = readable(worst.stall_ns());
    // One long run among short ones is not what comes every time.
    let up_to = if worst.stall_ns() / 2 > worst.typical_ns {
        "up to "
    } else {
        ""
    };
    let cpu = worst.cpu;
    let many = worst.blackout.filter(model::Blackout::is_of_many);
    let begin = match (many, worst.period_ns) {
        (Some(blackout), _) => {
            let runs = grouped(blackout.calls);
            format!("{grade} {took} on CPU {cpu}, {runs} runs in a row")
        }
        (None, Some(period_ns)) => {
            format!(
                "{grade} {up_to}{took} every {} on CPU {cpu}",
                seconds(period_ns)
            )
        }
        (None, None) => format!("{grade} {up_to}{took} on CPU {cpu}"),
    };
    let longest = if many.is_some() { "longest in " } else { "" };
    let place = format!(", {longest}netns {name}");
    let over = worst.estimators.map(estimators);
    if let (Some(who), Some(over)) = (who, &over) {
        let told = format!(
            "{begin}{place}{}",
            over.replacen('(', &format!("({who}, "), 1)
        );
        if told.chars().count() <= WIDTH {
            return told;
        }
    }
    fitted(&begin, [Some(place), over].into_iter().flatten())
}

/// Returns the length of a list, as it is put behind the name of a namespace.
#[must_use]
pub fn estimators(length: u32) -> String {
    let plural = if length == 1 { "" } else { "s" };
    format!(" ({} estimator{plural})", grouped(length.into()))
}

/// Seconds with one decimal; from 100 s on without.
#[must_use]
pub fn seconds(period_ns: u64) -> String {
    let tenths = period_ns.saturating_add(50_000_000) / 100_000_000;
    if tenths >= 1_000 {
        format!("{} s", (tenths + 5) / 10)
    } else {
        format!("{}.{} s", tenths / 10, tenths % 10)
    }
}

/// Returns the beginning and as many further parts as fit.
#[must_use]
pub fn fitted(begin: &str, parts: impl Iterator<Item = String>) -> String {
    let mut line: String = begin.chars().take(WIDTH).collect();
    for part in parts {
        if line.chars().count() + part.chars().count() > WIDTH {
            break;
        }
        line += &part;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Blackout;

    const MS: u64 = 1_000_000;

    fn worst() -> Worst {
        Worst {
            netns: 1,
            estimators: Some(30_001),
            typical_ns: 170 * MS,
            duration_ns: 182 * MS,
            cpu: 1,
            blackout: None,
            period_ns: Some(2_184 * MS),
        }
    }

    #[test]
    fn a_stall_is_named_with_its_rhythm_and_its_place() {
        assert_eq!(
            line(&worst(), 10 * MS, "root", None),
            "STALL 182 ms every 2.2 s on CPU 1, netns root (30,001 estimators)"
        );
    }

    #[test]
    fn who_lives_in_the_namespace_is_said_where_there_is_room() {
        let said = |who| line(&worst(), 10 * MS, "4026532141", Some(who));
        assert_eq!(
            said("web-0"),
            "STALL 182 ms every 2.2 s on CPU 1, netns 4026532141 (web-0, 30,001 estimators)"
        );
        assert_eq!(
            said("web-7d9f6c5b4-x2x9k"),
            "STALL 182 ms every 2.2 s on CPU 1, netns 4026532141 (30,001 estimators)"
        );
    }

    #[test]
    fn one_long_run_among_short_ones_is_the_most_and_not_the_rule() {
        let outlier = Worst {
            typical_ns: 2_000,
            estimators: Some(1),
            ..worst()
        };
        assert_eq!(
            line(&outlier, 10 * MS, "lab1", None),
            "STALL up to 182 ms every 2.2 s on CPU 1, netns lab1 (1 estimator)"
        );
    }

    #[test]
    fn many_short_runs_in_a_row_are_one_stall() {
        let batch = Worst {
            duration_ns: 100_000,
            blackout: Some(Blackout {
                duration_ns: 63_900_000,
                calls: 1_601,
                cpu: 0,
                longest_ns: 100_000,
                netns: 1,
                estimators: Some(601),
            }),
            estimators: Some(601),
            cpu: 0,
            ..worst()
        };
        assert_eq!(
            line(&batch, 10 * MS, "root", None),
            "STALL 63.9 ms on CPU 0, 1,601 runs in a row, longest in netns root"
        );
    }

    #[test]
    fn the_grade_depends_on_the_maximum() {
        for (stall_ns, grade) in [
            (10 * MS + 1, "STALL"),
            (10 * MS, "SLOW"),
            (MS + 1, "SLOW"),
            (MS, "OK"),
        ] {
            assert_eq!(Grade::of(stall_ns, 10 * MS).word(), grade);
        }
    }

    #[test]
    fn no_line_is_longer_than_80_characters() {
        let extreme = Worst {
            netns: u32::MAX,
            estimators: Some(u32::MAX),
            typical_ns: 1,
            duration_ns: u64::MAX,
            cpu: u32::MAX,
            blackout: None,
            period_ns: Some(u64::MAX),
        };
        let text = line(&extreme, 1, &"x".repeat(90), Some("who"));
        assert!(text.chars().count() <= WIDTH, "{text}");
        assert!(text.ends_with("CPU 4294967295"), "{text}");
    }

    #[test]
    fn rhythms_are_read_in_seconds() {
        for (period_ns, text) in [
            (2_016 * MS, "2.0 s"),
            (5_120 * MS, "5.1 s"),
            (99_949 * MS, "99.9 s"),
            (300_249 * MS, "300 s"),
        ] {
            assert_eq!(seconds(period_ns), text);
        }
    }
}
