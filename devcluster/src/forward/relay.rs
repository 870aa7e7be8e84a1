//! Local ports that stay open when a pod ends: each connection goes to the current target of the forward. Does I/O.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

/// How long a new connection waits for a pod.
const PATIENCE: Duration = Duration::from_secs(20);
const DIAL: Duration = Duration::from_secs(2);

/// Where connections go: from a pod's port to the port of loopback that leads there.
#[derive(Debug, Clone, Default)]
pub struct Route(Arc<(Mutex<BTreeMap<u16, u16>>, Condvar)>);

impl Route {
    pub fn set(&self, ports: BTreeMap<u16, u16>) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = ports;
        self.0.1.notify_all();
    }

    /// Nowhere, if it still goes by this one.
    pub fn clear(&self, ports: &BTreeMap<u16, u16>) {
        let mut now = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *now == *ports {
            now.clear();
        }
    }

    fn wait(&self, port: u16, deadline: Instant) -> Option<u16> {
        let ports = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = deadline.saturating_duration_since(Instant::now());
        let (ports, _) = self
            .0
            .1
            .wait_timeout_while(ports, left, |ports| !ports.contains_key(&port))
            .unwrap_or_else(PoisonError::into_inner);
        ports.get(&port).copied()
    }
}

/// Both loopback addresses of a port, since `localhost` may mean either; one without IPv6 is enough.
pub fn listen(port: u16) -> Result<Vec<TcpListener>> {
    let first = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| {
        anyhow!("cannot bind to port {port} of this machine ({error}): stop the process that listens there, such as another demo: ss -ltnp")
    })?;
    // Port 0 is whichever is free, and the other address needs the same.
    let port = first.local_addr()?.port();
    Ok(std::iter::once(first).chain(TcpListener::bind((Ipv6Addr::LOCALHOST, port))).collect())
}

/// Carries connections until this process ends.
pub fn serve(listener: TcpListener, pod_port: u16, route: Route) {
    thread::spawn(move || {
        loop {
            match listener.accept() {
                Ok((client, _)) => {
                    let route = route.clone();
                    thread::spawn(move || carry(client, pod_port, &route));
                }
                // Out of files, most likely: others will be closed.
                Err(_) => thread::sleep(Duration::from_millis(100)),
            }
        }
    });
}

fn carry(client: TcpStream, pod_port: u16, route: &Route) {
    let deadline = Instant::now() + PATIENCE;
    while let Some(port) = route.wait(pod_port, deadline) {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if let Ok(pod) = TcpStream::connect_timeout(&address, DIAL) {
            // A client that is gone needs nothing more, and the streams close when they are dropped.
            let _ = join(client, pod);
            return;
        }
        if Instant::now() >= deadline {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Both ways until both ends have closed, or one has broken.
fn join(client: TcpStream, pod: TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    pod.set_nodelay(true)?;
    let (mut from_client, mut to_pod) = (client.try_clone()?, pod.try_clone()?);
    let up = thread::spawn(move || one_way(&mut from_client, &mut to_pod));
    one_way(&mut &pod, &mut &client);
    // The pod sends no more: a client that still sends would wait forever.
    let _ = client.shutdown(Shutdown::Both);
    let _ = up.join();
    Ok(())
}

fn one_way(from: &mut impl io::Read, to: &mut (impl io::Write + Half)) {
    let _ = io::copy(from, to);
    to.close();
}

/// A stream whose writing end can be closed alone.
trait Half {
    fn close(&self);
}

impl Half for TcpStream {
    fn close(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

impl Half for &TcpStream {
    fn close(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    fn echo_server(prefix: &'static str) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut text = String::new();
                let mut stream = stream;
                stream.read_to_string(&mut text).unwrap();
                stream.write_all(format!("{prefix}{text}").as_bytes()).unwrap();
            }
        });
        port
    }

    fn say(port: u16, text: &str) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn a_connection_goes_where_the_route_leads_when_it_comes_and_waits_if_that_is_nowhere() {
        let route = Route::default();
        let listener = listen(0).unwrap().remove(0);
        let port = listener.local_addr().unwrap().port();
        serve(listener, 7654, route.clone());
        let first = BTreeMap::from([(7654, echo_server("one "))]);
        let early = thread::spawn(move || say(port, "early"));
        route.set(first.clone());
        assert_eq!(early.join().unwrap(), "one early");
        assert_eq!(say(port, "hello"), "one hello");
        route.clear(&BTreeMap::new());
        assert_eq!(say(port, "still"), "one still");
        route.clear(&first);
        let late = thread::spawn(move || say(port, "late"));
        route.set(BTreeMap::from([(7654, echo_server("two "))]));
        assert_eq!(late.join().unwrap(), "two late");
    }

    #[test]
    fn a_port_that_is_taken_is_named() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = listen(port).unwrap_err().to_string();
        assert!(error.contains(&format!("port {port} ")), "{error}");
    }
}
