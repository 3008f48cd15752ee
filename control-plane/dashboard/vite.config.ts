import solid from 'vite-plugin-solid';
import { defineConfig } from 'vitest/config';

// Where `npm run dev` finds a running control plane; its own certificate is not checked there.
const CONTROL_PLANE = 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [solid()],
  build: {
    // The server's Content-Security-Policy allows neither inline scripts nor data: URLs.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 600,
  },
  server: {
    proxy: {
      '/api': { target: CONTROL_PLANE, secure: false },
      '/mqtt': { target: CONTROL_PLANE, secure: false, ws: true },
    },
  },
  test: {
    environment: 'node',
    include: ['src/**/*.test.ts'],
  },
});
