//! The command `http-demo`: creates a cluster if none exists, databases, the HTTP demo, and forwards a port to it until Ctrl-C.

use devcluster::forward::Ports;

use crate::demo::Demo;
use crate::deploy;
use crate::forward::HTTP_DEMO_PORT;

pub const DEMO: Demo =
    Demo { destination: HTTP_DEMO_PORT, images: &["http-demo"], deploy: deploy::http_demo, next_steps };

fn next_steps(ports: &Ports) -> String {
    let address = format!("http://localhost:{}", ports.local(8080));
    format!(
        "
Values in Redis and the way to Postgres, from two pods:

  page      {address}
  values    curl -X PUT --data hello {address}/kv/greeting && curl {address}/kv/greeting
  Postgres  curl {address}/db

Take a database away and look again: 503 and why, never a hang; it comes back by itself.
  make -s kubectl ARGS=\"delete pod redis-0 -n databases\"
Ctrl-C closes the port; make down takes everything away.
"
    )
}
