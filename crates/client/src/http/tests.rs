//! The client against a node that answers what the test says, over real sockets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use super::*;

/// A server that gives these answers to connections one after another, and tells what was asked.
fn node(answers: &'static [&'static str]) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    let (asked, requests) = channel();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
            let (mut request, mut body_bytes) = (String::new(), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).expect("a line");
                if let Some(length) = line.to_lowercase().strip_prefix("content-length:") {
                    body_bytes = length.trim().parse().expect("a number");
                }
                request.push_str(&line);
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; body_bytes];
            reader.read_exact(&mut body).expect("the body");
            request.push_str(&String::from_utf8(body).expect("text"));
            let _ = asked.send(request);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (address, requests)
}

/// An address that nobody listens at.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").to_string()
}

const TABLE: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"tid\":1,\"namespace\":\"default\",\
    \"name\":\"t\",\"engine\":\"kv\",\"partitions\":8,\"replicas\":3,\"generation\":1,\"hash\":\"tag\"}";
const EXISTS: &str = "HTTP/1.1 409 Conflict\r\nconnection: close\r\n\r\n{\"code\":\"table-exists\",\
    \"cause\":\"c\",\"detail\":\"t\",\"hint\":\"h\"}";
const STRANGER: &str = "HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n<html>";
const STARTING: &str = "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\r\nreplaying the log";

fn wish() -> CreateTable {
    CreateTable { namespace: None, name: "t".into(), engine: None, partitions: None, replicas: None }
}

#[test]
fn a_request_carries_the_token_and_the_body() {
    let (address, requests) = node(&[TABLE]);
    let secret = Secret::new([7; 32]);
    let client = Client::new(vec![address], Some(&secret));
    assert_eq!(client.create_table(&wish()).expect("made").tid, 1);
    let request = requests.recv().expect("asked");
    assert!(request.starts_with("POST /v1/tables HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("authorization: Bearer {}\r\n", secret.admin_token())), "{request}");
    assert!(request.contains("\"name\":\"t\""), "{request}");
}

#[test]
fn the_next_node_is_tried_when_one_is_gone() {
    let (address, _requests) = node(&[TABLE, TABLE]);
    let client = Client::new(vec![nobody(), address], None);
    assert_eq!(client.create_table(&wish()).expect("made").name, "t");
    assert_eq!(client.table("default", "t").expect("there").name, "t");
}

#[test]
fn a_change_is_not_repeated_once_a_node_was_reached() {
    // The first node takes the request and closes without a word.
    let (first, _first_requests) = node(&[""]);
    let (second, second_requests) = node(&[TABLE]);
    let client = Client::new(vec![first, second], None);
    let fault = client.create_table(&wish()).expect_err("nobody knows");
    assert_eq!(fault.code, ErrorCode::OutcomeUnknown, "{fault}");
    assert!(second_requests.try_recv().is_err(), "the second node was asked");
}

#[test]
fn a_question_is_repeated_on_the_next_node() {
    let (first, _first_requests) = node(&["", STARTING]);
    let (second, _second_requests) = node(&[TABLE, TABLE]);
    let client = Client::new(vec![first, second], None);
    assert_eq!(client.table("default", "t").expect("there").tid, 1);
    assert_eq!(client.table("default", "t").expect("there").tid, 1);
}

#[test]
fn errors_of_nodes_and_of_strangers_are_faults() {
    let (address, _requests) = node(&[EXISTS, STRANGER]);
    let client = Client::new(vec![address], None);
    assert_eq!(client.create_table(&wish()).expect_err("exists").code, ErrorCode::TableExists);
    assert_eq!(client.tables().expect_err("no node").code, ErrorCode::WireCorrupt);

    let fault = Client::new(vec![nobody()], None).status().expect_err("nobody");
    assert_eq!(fault.code, ErrorCode::Unreachable);
    assert!(fault.detail.contains("connection refused"), "{fault}");
}

#[test]
fn what_does_not_speak_http_is_told_in_plain_words() {
    let (address, _requests) = node(&["-ERR unknown command\r\n"]);
    let fault = Client::new(vec![address.clone()], None).health().expect_err("no HTTP");
    assert_eq!(fault.code, ErrorCode::Unreachable);
    assert_eq!(fault.detail, format!("{address}: what listens there does not speak HTTP"));
}

#[test]
fn health_tells_why_a_node_does_not_serve() {
    let (address, _requests) = node(&[STARTING]);
    let client = Client::new(vec![address], None);
    assert_eq!(client.health(), Ok(Health::Starting("replaying the log".into())));
}

#[test]
fn names_cannot_leave_their_path_segment() {
    assert_eq!(table_path("ns", "a/../b?c"), "/v1/tables/ns/a%2F%2E%2E%2Fb%3Fc");
}

#[test]
fn the_node_that_another_names_is_asked_next() {
    let (leader, leader_requests) = node(&[TABLE]);
    let fault = api::admin::elsewhere(types::NodeId(2), &leader);
    let body = serde_json::to_string(&ErrorBody::from(&fault)).expect("plain data");
    let answer = format!("HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\r\n{body}");
    let answers: &'static [&'static str] = Box::leak(vec![&*answer.leak()].into_boxed_slice());
    let (first, _) = node(answers);
    let (second, second_requests) = node(&[EXISTS]);
    // A change too: the first node said that it did nothing.
    let client = Client::new(vec![first, second], None);
    assert_eq!(client.create_table(&wish()).expect("made").tid, 1);
    assert!(leader_requests.recv().expect("asked").starts_with("POST "));
    assert!(second_requests.try_recv().is_err(), "nobody else is asked");
}

#[test]
fn while_nobody_leads_the_catalog_all_are_asked_again() {
    let fault = api::admin::elsewhere(types::NodeId(9), &nobody());
    let body = serde_json::to_string(&ErrorBody::from(&fault)).expect("plain data");
    let answer = format!("HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\r\n{body}");
    let answers: &'static [&'static str] = Box::leak(vec![&*answer.leak(), TABLE].into_boxed_slice());
    let (follower, requests) = node(answers);
    let client = Client::new(vec![nobody(), follower], None);
    assert_eq!(client.table("default", "t").expect("told").tid, 1);
    assert_eq!(requests.iter().count(), 2, "the second time it leads");
}
