//! The load generator against small servers, over real sockets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;

use clap::Parser;

use super::*;
use crate::cli::{BenchCommand, Cli, Command};

/// A server that answers `+OK` to SET, a value to GET and an error to every tenth command, and hangs up
/// after `hang_up_after` of them on a connection, in the middle of a batch.
fn server(hang_up_after: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
                for answered in 0.. {
                    let Some(arguments) = command(&mut reader) else { return };
                    if answered == hang_up_after {
                        return;
                    }
                    let reply = match arguments[0].as_str() {
                        _ if answered % 10 == 9 => "-BUSY try later\r\n",
                        "GET" => "$3\r\nabc\r\n",
                        _ => "+OK\r\n",
                    };
                    if stream.write_all(reply.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn command(reader: &mut impl BufRead) -> Option<Vec<String>> {
    let number = |reader: &mut dyn BufRead| {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|&bytes| bytes > 0)?;
        line.trim()[1..].parse::<usize>().ok()
    };
    let count = number(reader)?;
    let mut arguments = Vec::new();
    for _ in 0..count {
        let mut bytes = vec![0; number(reader)? + 2];
        reader.read_exact(&mut bytes).ok()?;
        bytes.truncate(bytes.len() - 2);
        arguments.push(String::from_utf8(bytes).expect("text"));
    }
    Some(arguments)
}

fn measure(address: &str, options: &str) -> Report {
    try_to_measure(address, options).expect("measured")
}

fn try_to_measure(address: &str, options: &str) -> Result<Report, Fault> {
    let line = format!("skein bench kv --redis {address} {options}");
    let cli = Cli::try_parse_from(line.split(' ')).expect("a command line");
    let Command::Bench(BenchCommand::Kv(arguments)) = cli.command else { panic!("another command") };
    run(&arguments)
}

#[test]
fn every_command_and_every_error_is_counted() {
    let address = server(usize::MAX);
    let report = measure(&address, "--connections 7 --threads 2 --pipeline 5 --requests 1400 --mix 1:1");
    assert_eq!(report.answered, 1400);
    assert!(report.reads > 500 && report.writes > 500, "{report}");
    // Which connection sends how many is chance; each tenth on a connection is refused.
    assert!((100..=140).contains(&report.errors["BUSY"]), "{report}");
    assert!(!report.is_clean());
    assert_eq!((report.unknown_writes, report.broken_connections), (0, 0));
    assert!(report.latency_us.p50 > 0 && report.latency_us.p50 <= report.latency_us.max);
}

#[test]
fn broken_connections_leave_unknown_writes_and_nothing_is_sent_twice() {
    let address = server(7);
    let report = measure(&address, "--connections 2 --pipeline 5 --requests 100 --keys 10");
    // Each connection answers five and two; the other three of its second batch are unknown.
    assert_eq!(report.answered + report.unknown_writes, 100, "{report}");
    assert!(report.unknown_writes >= 24 && report.broken_connections >= 8, "{report}");
    assert!(!report.is_clean());
}

#[test]
fn a_time_limit_ends_the_measurement() {
    let address = server(usize::MAX);
    let report = measure(&address, "--connections 3 --mix get --duration 100ms");
    assert!(report.reads > 0 && report.writes == 0, "{report}");
    assert!(report.seconds >= 0.1, "{report}");
}

#[test]
fn the_end_does_not_wait_for_connections_that_broke() {
    let address = server(1);
    let began = Instant::now();
    let report = measure(&address, "--connections 2 --pipeline 5 --duration 100ms");
    assert!(report.broken_connections > 0, "{report}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn what_does_not_speak_the_redis_protocol_is_named_before_anything_is_measured() {
    for (said, cause) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], ": it does not speak the Redis protocol"),
        (b"", ": it closed the connection at PING; does it speak the Redis protocol?"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut asked = [0; 14];
            stream.read_exact(&mut asked).expect("a command");
            stream.write_all(said).expect("a client");
            asked
        });
        let fault = try_to_measure(&address, "--requests 1").expect_err("nothing to measure");
        assert_eq!((fault.code, fault.detail), (ErrorCode::Unreachable, format!("{address}{cause}")));
        assert_eq!(&server.join().expect("served"), b"*1\r\n$4\r\nPING\r\n");
    }
}

#[test]
fn mixes_and_times_are_understood() {
    assert_eq!("9:1".parse(), Ok(Mix { reads: 9, writes: 1 }));
    assert_eq!("get".parse(), Ok(Mix { reads: 1, writes: 0 }));
    assert!("0:0".parse::<Mix>().is_err() && "9".parse::<Mix>().is_err());
    assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
    assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
    assert!(parse_duration("0s").is_err() && parse_duration("1h").is_err() && parse_duration("s").is_err());
}
