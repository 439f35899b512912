import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

// `npm run console` serves it with the API of a cloud that runs on port 3000.
const cloud = process.env['CLOUD_URL'] ?? 'http://127.0.0.1:3000';

export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  build: {
    outDir: fileURLToPath(new URL('../../../dist/console', import.meta.url)),
    emptyOutDir: true,
    // The content security policy allows files of this origin only: nothing is inlined.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { '/api': cloud, '/live': { target: cloud, ws: true } } },
});
