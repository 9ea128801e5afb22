//! QEMU's own control line, as far as the lab needs it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

/// How long QEMU may take over an order of ours, and how often it is asked whether it is done.
const PATIENCE: Duration = Duration::from_mins(1);
const PACE: Duration = Duration::from_millis(5);

/// The line, ready for orders.
pub struct Qmp {
    lines: BufReader<UnixStream>,
}

impl Qmp {
    /// Takes over the line.
    pub fn new(line: UnixStream) -> Result<Self> {
        line.set_read_timeout(Some(PATIENCE))
            .context("cannot limit the time QEMU may take")?;
        Ok(Self {
            lines: BufReader::new(line),
        })
    }

    /// Greets QEMU, which takes no orders before.
    pub fn greet(&mut self) -> Result<()> {
        self.order("qmp_capabilities", &json!({})).map(|_| ())
    }

    /// Gives an order and returns QEMU's answer.
    pub fn order(&mut self, name: &str, arguments: &Value) -> Result<Value> {
        let order = json!({ "execute": name, "arguments": arguments });
        self.lines
            .get_mut()
            .write_all(format!("{order}\n").as_bytes())
            .context("QEMU does not listen")?;
        loop {
            let mut line = String::new();
            ensure!(
                self.lines
                    .read_line(&mut line)
                    .context("QEMU does not answer")?
                    > 0,
                "QEMU has stopped"
            );
            let mut answer: Value =
                serde_json::from_str(&line).context("QEMU's answer makes no sense")?;
            if let Some(error) = answer.get("error") {
                bail!(
                    "QEMU refuses `{name}`: {}",
                    error["desc"].as_str().unwrap_or("it does not say why")
                );
            }
            // Anything else is its greeting or news of an event.
            if let Some(result) = answer.get_mut("return") {
                return Ok(result.take());
            }
        }
    }

    /// Repeats an order until the answer's `status` is `wanted`; `failed` ends the waiting.
    pub fn wait_for(&mut self, order: &str, wanted: &str) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let answer = self.order(order, &json!({}))?;
            match answer["status"].as_str() {
                Some(status) if status == wanted => return Ok(()),
                Some("failed") => bail!("QEMU says that it failed: {answer}"),
                _ => thread::sleep(PACE),
            }
        }
        bail!("QEMU was not {wanted} within {} s", PATIENCE.as_secs())
    }
}
