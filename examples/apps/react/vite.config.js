// How Vite builds the example: into `dist`, to be served from any path. Pure: no I/O.

import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

export default defineConfig({ base: './', plugins: [react()] });
