//! A small server that speaks as much of S3 as `object_store` uses, in memory, and misbehaves as it is told.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// What the bucket does instead of what it should.
#[derive(Clone, Debug, Default)]
pub struct Mood {
    /// Requests that are refused, from the next one on, and with what.
    pub refused: Option<(u64, &'static str)>,
    /// The next request that stores something does so, and answers 500.
    pub forgets_to_say: bool,
    /// It has no room for more than this.
    pub room: Option<usize>,
    /// Every answer takes so long.
    pub delay: Duration,
    /// Answers that go well; then every one is refused with this.
    pub well_for: Option<(u64, &'static str)>,
}

#[derive(Default)]
struct State {
    mood: Mood,
    objects: BTreeMap<String, Vec<u8>>,
    uploads: BTreeMap<String, BTreeMap<u32, Vec<u8>>>,
    requests: u64,
}

/// A bucket `b` that listens until the process ends.
#[derive(Clone)]
pub struct Server {
    address: String,
    state: Arc<Mutex<State>>,
}

struct Request {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

struct Answer {
    status: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

fn answer(status: &'static str, body: impl Into<Vec<u8>>) -> Answer {
    Answer { status, headers: Vec::new(), body: body.into() }
}

impl Server {
    /// Listens on a port of its own.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = Self { address, state: Arc::default() };
        let shared = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = shared.clone();
                std::thread::spawn(move || server.serve(stream));
            }
        });
        server
    }

    /// How a client reaches it.
    pub fn variables(&self) -> Vec<(&str, &str)> {
        vec![
            ("AWS_ENDPOINT", self.address.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", "somebody"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_REGION", "here"),
        ]
    }

    /// What it does from now on.
    pub fn set(&self, mood: Mood) {
        self.state().mood = mood;
    }

    /// The objects' names.
    pub fn names(&self) -> Vec<String> {
        self.state().objects.keys().cloned().collect()
    }

    /// Uploads that were neither completed nor aborted.
    pub fn uploads(&self) -> usize {
        self.state().uploads.len()
    }

    /// Requests so far.
    pub fn requests(&self) -> u64 {
        self.state().requests
    }

    /// Changes a byte of an object.
    pub fn damage(&self, name: &str) {
        let mut state = self.state();
        let object = state.objects.get_mut(name).unwrap();
        let middle = object.len() / 2;
        object[middle] ^= 4;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn serve(&self, stream: TcpStream) {
        let mut input = BufReader::new(stream.try_clone().unwrap());
        let mut output = stream;
        while let Some(request) = read(&mut input) {
            let delay = self.state().mood.delay;
            std::thread::sleep(delay);
            let answer = self.state().answer(&request);
            let mut text = format!("HTTP/1.1 {}\r\nContent-Length: {}\r\n", answer.status, answer.body.len());
            if request.method == "HEAD" {
                text = format!("HTTP/1.1 {}\r\n", answer.status);
            }
            for (name, value) in &answer.headers {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
            text.push_str("\r\n");
            let body = if request.method == "HEAD" { &[][..] } else { &answer.body[..] };
            if output.write_all(&[text.as_bytes(), body].concat()).is_err() {
                return;
            }
        }
    }
}

impl State {
    fn answer(&mut self, request: &Request) -> Answer {
        self.requests += 1;
        if let Some((left, status)) = &mut self.mood.refused
            && *left > 0
        {
            *left -= 1;
            return answer(status, "");
        }
        if let Some((left, status)) = &mut self.mood.well_for {
            match left.checked_sub(1) {
                Some(fewer) => *left = fewer,
                None => return answer(status, ""),
            }
        }
        let stores =
            request.method == "PUT" || (request.method == "POST" && !request.query.contains_key("delete"));
        let held: usize = self.objects.values().map(Vec::len).sum::<usize>()
            + self.uploads.values().flat_map(BTreeMap::values).map(Vec::len).sum::<usize>();
        if stores && self.mood.room.is_some_and(|room| held + request.body.len() > room) {
            return answer("507 Insufficient Storage", "<Error><Code>XMinioStorageFull</Code></Error>");
        }
        let done = self.carry_out(request);
        if stores && std::mem::take(&mut self.mood.forgets_to_say) {
            return answer("500 Internal Server Error", "");
        }
        done
    }

    fn carry_out(&mut self, request: &Request) -> Answer {
        let Some(name) = request.path.strip_prefix("/b").map(|name| name.trim_start_matches('/').to_owned())
        else {
            return answer("404 Not Found", "");
        };
        let upload = request.query.get("uploadId");
        match (request.method.as_str(), name.as_str(), upload) {
            ("GET", "", _) => self.list(&request.query),
            ("POST", "", _) => self.delete_many(&request.body),
            ("POST", _, None) => {
                let id = format!("u{}", self.requests);
                self.uploads.insert(id.clone(), BTreeMap::new());
                let body = format!(
                    "<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>{name}</Key>\
                     <UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
                );
                answer("200 OK", body)
            }
            ("PUT", _, Some(id)) => {
                let part = request.query["partNumber"].parse().unwrap();
                match self.uploads.get_mut(id) {
                    Some(parts) => parts.insert(part, request.body.clone()),
                    None => return answer("404 Not Found", ""),
                };
                Answer { headers: vec![("ETag", format!("\"{part}\""))], ..answer("200 OK", "") }
            }
            ("POST", _, Some(id)) => {
                let Some(parts) = self.uploads.remove(id) else { return answer("404 Not Found", "") };
                self.objects.insert(name.clone(), parts.into_values().flatten().collect());
                let body = "<CompleteMultipartUploadResult><Location>b</Location><Bucket>b</Bucket>\
                            <Key>k</Key><ETag>\"e\"</ETag></CompleteMultipartUploadResult>";
                answer("200 OK", body)
            }
            ("DELETE", _, Some(id)) => {
                self.uploads.remove(id);
                answer("204 No Content", "")
            }
            ("PUT", ..) => {
                let only_new = request.headers.get("if-none-match").is_some_and(|value| value == "*");
                if only_new && self.objects.contains_key(&name) {
                    return answer("412 Precondition Failed", "");
                }
                self.objects.insert(name, request.body.clone());
                Answer { headers: vec![("ETag", "\"e\"".into())], ..answer("200 OK", "") }
            }
            ("DELETE", ..) => {
                self.objects.remove(&name);
                answer("204 No Content", "")
            }
            ("GET" | "HEAD", ..) => self.get(&name, request),
            _ => answer("405 Method Not Allowed", ""),
        }
    }

    fn get(&self, name: &str, request: &Request) -> Answer {
        let Some(object) = self.objects.get(name) else { return answer("404 Not Found", "") };
        let mut headers =
            vec![("ETag", "\"e\"".into()), ("Last-Modified", "Thu, 26 Nov 2026 23:00:00 GMT".into())];
        let range = request.headers.get("range").and_then(|range| range.strip_prefix("bytes="));
        let Some((from, to)) = range.and_then(|range| range.split_once('-')) else {
            if request.method == "HEAD" {
                headers.push(("Content-Length", object.len().to_string()));
            }
            return Answer { headers, ..answer("200 OK", object.clone()) };
        };
        let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
        let to = to.min(object.len() - 1);
        headers.push(("Content-Range", format!("bytes {from}-{to}/{}", object.len())));
        Answer { headers, ..answer("206 Partial Content", &object[from..=to]) }
    }

    fn list(&self, query: &BTreeMap<String, String>) -> Answer {
        let prefix = query.get("prefix").map_or("", String::as_str);
        let mut text = String::from("<ListBucketResult><IsTruncated>false</IsTruncated>");
        let mut directories = std::collections::BTreeSet::new();
        for (name, object) in self.objects.iter().filter(|(name, _)| name.starts_with(prefix)) {
            match name[prefix.len()..].split_once('/').filter(|_| query.contains_key("delimiter")) {
                Some((directory, _)) => drop(directories.insert(format!("{prefix}{directory}/"))),
                None => text.push_str(&format!(
                    "<Contents><Key>{name}</Key><LastModified>2026-11-26T23:00:00.000Z</LastModified>\
                     <ETag>\"e\"</ETag><Size>{}</Size></Contents>",
                    object.len()
                )),
            }
        }
        for directory in directories {
            text.push_str(&format!("<CommonPrefixes><Prefix>{directory}</Prefix></CommonPrefixes>"));
        }
        answer("200 OK", text + "</ListBucketResult>")
    }

    fn delete_many(&mut self, body: &[u8]) -> Answer {
        let text = String::from_utf8_lossy(body);
        let keys = text.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>"));
        let mut deleted = String::from("<DeleteResult>");
        for (key, _) in keys {
            self.objects.remove(key);
            deleted.push_str(&format!("<Deleted><Key>{key}</Key></Deleted>"));
        }
        answer("200 OK", deleted + "</DeleteResult>")
    }
}

/// The next request of a connection; nothing at its end.
fn read(input: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    input.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        input.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    input.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name.to_owned(), value.replace("%2F", "/"))
    };
    let query = query.split('&').filter(|part| !part.is_empty()).map(pair).collect();
    Some(Request { method, path: path.to_owned(), query, headers, body })
}
