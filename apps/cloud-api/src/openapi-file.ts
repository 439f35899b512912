import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { OpenApi } from './api/openapi.js';
import { createApp } from './app.js';
import { readConfig } from './config.js';

// `npm run openapi`: writes the OpenAPI document into the file that is named. Nothing is started: no port, no database.
const [, , path] = process.argv;
if (path === undefined) {
  console.error('Name the file to write: openapi-file.js FILE');
  process.exit(1);
}
const app = await createApp(readConfig({ FEDECKS_SECRET: randomBytes(48).toString('base64') }));
writeFileSync(path, `${JSON.stringify(app.get(OpenApi).document, undefined, 2)}\n`);
