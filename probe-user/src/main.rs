//! The program: all of it is in the library, where the fuzz targets find its readers too.

use std::process::ExitCode;

fn main() -> ExitCode {
    ipvs_latency::run()
}
