import { existsSync } from 'node:fs';
import { type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Logger } from '@nestjs/common';
import { type NestExpressApplication } from '@nestjs/platform-express';
import compression from 'compression';

/** Where `npm run build` and the Dockerfile put the console: beside the app. */
const BESIDE_APP = fileURLToPath(new URL('../../../../../console', import.meta.url));
/** Paths that are not pages. */
const NO_PAGES = /^\/(api|assets|fedecks|health|live|metrics)(\/|$)/;

interface PageRequest extends IncomingMessage {
  readonly path: string;
  accepts(type: string): string | false;
}

interface PageResponse {
  set(headers: Readonly<Record<string, string>>): void;
  sendFile(path: string): void;
}

/**
 * Serves the console: its files, and its page for each address of a page. Where it is not built, the app has its API only.
 * @param directory with `index.html`.
 */
export function serveConsole(app: NestExpressApplication, directory = BESIDE_APP): void {
  const page = join(directory, 'index.html');
  if (!existsSync(page)) {
    new Logger('Console').log('The console is not built: npm run build builds it. The API is at /api/v1');
    return;
  }
  // Only these: they hold nothing secret, which its compressed length would tell of.
  app.use('/assets', compression());
  // The names of these contain a hash of what is in them.
  app.useStaticAssets(join(directory, 'assets'), {
    prefix: '/assets',
    immutable: true,
    maxAge: '1y',
    index: false,
  });
  app.useStaticAssets(directory, { index: false, maxAge: '1h' });
  app.use((request: PageRequest, response: PageResponse, next: () => void) => {
    const isPage =
      request.method === 'GET' && !NO_PAGES.test(request.path) && request.accepts('html') !== false;
    if (!isPage) {
      next();
      return;
    }
    // The next version of the app has other files.
    response.set({ 'cache-control': 'no-cache' });
    response.sendFile(page);
  });
}

/** What the page may load: files of this origin, and nothing else. `ws:` of this origin is `'self'`. */
export const CONTENT_SECURITY_POLICY = {
  useDefaults: false,
  directives: {
    defaultSrc: ["'none'"],
    scriptSrc: ["'self'"],
    styleSrc: ["'self'"],
    imgSrc: ["'self'", 'data:'],
    connectSrc: ["'self'"],
    manifestSrc: ["'self'"],
    baseUri: ["'none'"],
    formAction: ["'self'"],
    frameAncestors: ["'none'"],
  },
};
