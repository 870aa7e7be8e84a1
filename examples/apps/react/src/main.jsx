// Starts the application: index.html?url=https://chat.example&room=abc12def&name=ana. I/O: the document.

import { randomKey } from '@chatd/client';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { Room } from './Room.jsx';

const { url = 'http://localhost:8081', room, name } = Object.fromEntries(new URLSearchParams(location.search));
const key = sessionStorage.seatKey ??= randomKey(); // a reload comes back to its own seat

createRoot(document.getElementById('root')).render(
  <StrictMode>
    {room && name ? <Room url={url} room={room} name={name} seatKey={key} /> : <p>Open this page with ?room=…&amp;name=…</p>}
  </StrictMode>,
);
