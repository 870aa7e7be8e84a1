// Quick join: in which order listed rooms are tried. Pure: no I/O.

// Who finds none of so many open sees the list again.
const MOST_TRIED = 10;

/** The ids of `rooms`, as the server lists them: each time the fuller of two that chance picks from those that are left. */
export function quickOrder(rooms, random = Math.random) {
  const left = [...rooms];
  const order = [];
  const pick = () => left.splice(Math.floor(random() * left.length), 1)[0];
  while (left.length > 0 && order.length < MOST_TRIED) {
    const [one, other] = [pick(), pick()];
    const isBehind = other && fullness(other) > fullness(one);
    order.push((isBehind ? other : one).room);
    if (other) left.push(isBehind ? one : other);
  }
  return order;
}

const fullness = ({ players, max_players: maxPlayers }) => players / maxPlayers;
