//! The import against a small event-store that fails as told.

use std::io::Cursor;
use std::sync::Mutex;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::client::Service;

/// What the server does with a connection.
#[derive(Clone, Copy)]
enum Conduct {
    /// Confirms every line, up to the end.
    Serve,
    /// Confirms lines up to this one, reads on a little, and hangs up.
    DieAfter(u64),
    /// 503 at once.
    NotReady,
    /// 400 at once.
    Refuse,
}

#[derive(Default)]
struct Seen {
    lines: Mutex<Vec<String>>,
}

/// Serves one connection after another, each by the next conduct; returns the base URL.
async fn server(conducts: Vec<Conduct>) -> (String, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Seen::default());
    let kept = Arc::clone(&seen);
    #[expect(clippy::disallowed_methods, reason = "a server for one test; a panic in it fails the test by silence")]
    tokio::spawn(async move {
        for conduct in conducts {
            let (socket, _) = listener.accept().await.unwrap();
            serve(socket, conduct, &kept).await;
        }
    });
    (url, seen)
}

async fn serve(socket: TcpStream, conduct: Conduct, seen: &Seen) {
    let mut socket = BufReader::new(socket);
    let mut header = String::new();
    while socket.read_line(&mut header).await.unwrap() > 2 {}
    let head = match conduct {
        Conduct::NotReady => "HTTP/1.1 503 Service Unavailable\r\nretry-after: 0\r\nconnection: close\r\n\r\n",
        Conduct::Refuse => "HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n",
        Conduct::Serve | Conduct::DieAfter(_) => "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n",
    };
    socket.write_all(head.as_bytes()).await.unwrap();
    let last = match conduct {
        Conduct::Serve => u64::MAX,
        Conduct::DieAfter(last) => last,
        Conduct::NotReady | Conduct::Refuse => return,
    };
    let mut count = 0;
    while let Some(chunk) = chunk(&mut socket).await {
        for line in chunk.lines() {
            count += 1;
            if count > last {
                return;
            }
            if line == "bad" {
                let text = format!("{{\"line\":{count},\"error_code\":\"validation.json\",\"message\":\"no\"}}\n");
                socket.write_all(text.as_bytes()).await.unwrap();
            }
            seen.lines.lock().unwrap().push(line.to_owned());
        }
        socket.write_all(counts(count, "").as_bytes()).await.unwrap();
    }
    socket.write_all(counts(count, r#""done":true,"#).as_bytes()).await.unwrap();
}

fn counts(lines: u64, extra: &str) -> String {
    format!("{{{extra}\"lines\":{lines},\"appended\":{lines},\"duplicates\":0,\"rejected\":0}}\n")
}

/// One chunk of a chunked body; `None` at its end.
async fn chunk(socket: &mut BufReader<TcpStream>) -> Option<String> {
    let mut size = String::new();
    socket.read_line(&mut size).await.ok()?;
    let size = usize::from_str_radix(size.trim(), 16).ok()?;
    let mut bytes = vec![0; size + 2];
    socket.read_exact(&mut bytes).await.ok()?;
    (size > 0).then(|| String::from_utf8_lossy(&bytes[..size]).into_owned())
}

async fn run(lines: usize, conducts: Vec<Conduct>) -> (Result<Report>, Vec<String>, Vec<String>) {
    let wanted: Vec<String> = (1..=lines).map(|number| format!("{{\"n\":{number}}}")).collect();
    let (url, seen) = server(conducts).await;
    let client = Client::new([(Service::EventStore, url)], Duration::from_secs(5)).unwrap();
    let input = Cursor::new(wanted.join("\n"));
    let report = import(&client, &"flights".parse().unwrap(), input, Some(lines as u64), Duration::from_secs(5)).await;
    let got = seen.lines.lock().unwrap().clone();
    (report, wanted, got)
}

#[tokio::test]
async fn all_lines_arrive_in_order() {
    let (report, wanted, got) = run(20_000, vec![Conduct::Serve]).await;
    assert_eq!(report.unwrap().counts, Counts { lines: 20_000, appended: 20_000, ..Counts::default() });
    assert_eq!(got, wanted);
}

#[tokio::test]
async fn it_goes_on_after_lost_connections_and_refusals_to_serve() {
    let conducts = vec![Conduct::DieAfter(7_000), Conduct::NotReady, Conduct::DieAfter(9_000), Conduct::Serve];
    let (report, mut wanted, mut got) = run(20_000, conducts).await;
    let report = report.unwrap();
    assert_eq!((report.counts.lines, report.resumed), (20_000, 3));
    // Lines seen and not confirmed are sent again; none is left out.
    got.sort();
    got.dedup();
    wanted.sort();
    assert_eq!(got, wanted);
}

#[tokio::test]
async fn what_will_not_pass_ends_it_at_once() {
    let (report, _, _) = run(10, vec![Conduct::Refuse]).await;
    let error = report.err().unwrap();
    assert_eq!(error.downcast_ref::<Failure>().unwrap().exit, Exit::Refused);
    assert!(format!("{error:#}").starts_with("import stopped after line 0"), "{error:#}");
}

#[tokio::test]
async fn refused_lines_are_numbered_as_in_the_input() {
    let (url, _) = server(vec![Conduct::Serve]).await;
    let client = Client::new([(Service::EventStore, url)], Duration::from_secs(5)).unwrap();
    let input = Cursor::new("1\n2\nbad\n4\n");
    let report = import(&client, &"flights".parse().unwrap(), input, None, Duration::from_secs(5)).await.unwrap();
    assert_eq!(report.rejections.iter().map(|rejection| rejection.line).collect::<Vec<_>>(), [3]);
}

#[test]
fn lines_are_counted_as_they_are_sent() {
    for (text, lines) in [("", 0), ("a", 1), ("a\n", 1), ("a\n\nb", 3)] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        assert_eq!(count_lines(file.path()).unwrap(), lines, "{text:?}");
    }
}
