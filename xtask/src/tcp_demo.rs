//! The command `tcp-demo`: creates a cluster if none exists, databases, the operator, a ChatDeployment of three pods, and forwards
//! ports until Ctrl-C.

use devcluster::forward::Ports;

use crate::demo::Demo;
use crate::deploy;
use crate::forward::CHATD_PORTS;

pub const DEMO: Demo = Demo {
    destination: CHATD_PORTS,
    images: &["chatd", "chatd-operator", "valkey"],
    deploy: deploy::chatd,
    next_steps,
};

fn next_steps(ports: &Ports) -> String {
    let (web, lines) = (ports.local(8081), ports.local(7654));
    format!(
        "
Rooms for four, in three pods that the operator made of the ChatDeployment `chat`:

  page    http://localhost:{web}
  lines   nc localhost {lines}      then CREATE_ROOM, JOIN <room> alice RELAY, any text, LEAVE
  state   make -s kubectl ARGS=\"get chatd,pods -n chatd -o wide\"

Make a room on the page, join it with nc, and delete the pod that has it: the room goes on.
  make -s kubectl ARGS=\"delete pod chat-0 -n chatd\"
Take a pod away, and more: the operator hands rooms over first, and puts back what is deleted.
  make -s kubectl ARGS=\"scale chatd/chat -n chatd --replicas=2\"
  make -s kubectl ARGS=\"delete service chat -n chatd\"
With RELAY the pod relays you to the room's owner; without it you get the owner's address, which only pods can reach.
Ctrl-C closes the ports; make down takes everything away.
"
    )
}
