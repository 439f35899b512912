/** Every route of the app, and who may use it. */
import { RequestMethod } from '@nestjs/common';
import { METHOD_METADATA } from '@nestjs/common/constants.js';
import { HttpAdapterHost, MetadataScanner, ModulesContainer } from '@nestjs/core';
import { type Role, ROLES } from '../src/access/actor.js';
import { ApiKeys } from '../src/access/api-keys.js';
import { Audited, type AuditedAs } from '../src/access/audited.decorator.js';
import { CloudApi } from './support/cloud-api.js';
import { Visitor } from './support/visitor.js';

/** The least role of each route. A route that is not here fails the test: add it. */
const LEAST: Readonly<Record<string, Role | 'anyone'>> = {
  'GET /health/live': 'anyone',
  'GET /health/ready': 'anyone',
  'GET /metrics': 'viewer',
  'GET /setup': 'anyone',
  'POST /api/v1/setup': 'anyone',
  'POST /api/v1/login': 'anyone',
  'POST /api/v1/logout': 'viewer',
  'GET /api/v1/session': 'anyone',
  'GET /api/v1/me': 'viewer',
  'PUT /api/v1/me/password': 'viewer',
  'GET /api/v1/operators': 'admin',
  'POST /api/v1/operators': 'admin',
  'PUT /api/v1/operators/:name/role': 'admin',
  'PUT /api/v1/operators/:name/password': 'admin',
  'DELETE /api/v1/operators/:name': 'admin',
  'GET /api/v1/api-keys': 'admin',
  'POST /api/v1/api-keys': 'admin',
  'DELETE /api/v1/api-keys/:name': 'admin',
  'GET /api/v1/audit': 'operator',
  'GET /api/v1/openapi.json': 'viewer',
  'GET /api/v1/overview': 'viewer',
  'GET /api/v1/nodes': 'viewer',
  'GET /api/v1/devices': 'viewer',
  'POST /api/v1/devices': 'operator',
  'GET /api/v1/devices/:id': 'viewer',
  'PATCH /api/v1/devices/:id': 'operator',
  'DELETE /api/v1/devices/:id': 'admin',
  'GET /api/v1/devices/:id/connections': 'viewer',
  'GET /api/v1/devices/:id/messages': 'viewer',
  'GET /api/v1/devices/:id/metrics': 'viewer',
  'GET /api/v1/devices/:id/readings': 'viewer',
  'POST /api/v1/devices/:id/messages': 'operator',
  'POST /api/v1/devices/:id/requests': 'operator',
  'POST /api/v1/devices/:id/deliveries': 'operator',
  'GET /api/v1/devices/:id/deliveries': 'viewer',
  'GET /api/v1/devices/:id/log': 'viewer',
  'POST /api/v1/devices/:id/restart': 'operator',
  'PUT /api/v1/devices/:id/settings': 'operator',
  'PUT /api/v1/devices/:id/password': 'operator',
  'POST /api/v1/devices/:id/block': 'operator',
  'POST /api/v1/devices/:id/unblock': 'operator',
  'POST /api/v1/devices/:id/revoke': 'operator',
  'POST /api/v1/devices/:id/disconnect': 'operator',
  'GET /api/v1/deliveries/:id': 'viewer',
  'DELETE /api/v1/deliveries/:id': 'operator',
  'POST /api/v1/broadcast': 'operator',
  'POST /api/v1/bulk': 'operator',
  'GET /api/v1/export/devices': 'viewer',
  'GET /api/v1/export/readings': 'viewer',
  'GET /api/v1/claims': 'viewer',
  'POST /api/v1/claims': 'operator',
  'DELETE /api/v1/claims/:id': 'operator',
};
/** Looks like a name and like an id, and is of nothing. */
const UNKNOWN = '4c9f0f2e-9f0e-4b43-8c55-0e0f6c5a8f0e';
const SECRET = /password|secret|token|code|^key$/i;
/** The key of a delivery is no secret: it names what it replaces. */
const NO_SECRETS = new Set(['DeliveriesController.deliver key']);

interface ExpressLayer {
  readonly route?: { readonly path: string; readonly methods: Readonly<Record<string, boolean>> };
}

let cloud: CloudApi;
let visitors: Readonly<Record<Role | 'stranger', Visitor>>;
beforeAll(async () => {
  cloud = await CloudApi.start();
  const keyOf = async (role: Role): Promise<string> =>
    (await cloud.get(ApiKeys).add({ name: role, role, expiresAt: null }, 'test')).key;
  visitors = {
    stranger: new Visitor(cloud),
    viewer: new Visitor(cloud, await keyOf('viewer')),
    operator: new Visitor(cloud, await keyOf('operator')),
    admin: new Visitor(cloud, await keyOf('admin')),
  };
});
afterAll(() => cloud.close());

/** As `METHOD path`, of everything that answers, whether Nest or something else has added it. */
function routesOf({ httpAdapter }: HttpAdapterHost): string[] {
  const { router } = httpAdapter.getInstance<{ router: { stack: readonly ExpressLayer[] } }>();
  return router.stack.flatMap(({ route }) =>
    Object.keys(route?.methods ?? {}).map((method) => `${method.toUpperCase()} ${route?.path ?? ''}`),
  );
}

it('has each route of the app in the table, and no other', () => {
  expect(routesOf(cloud.get(HttpAdapterHost)).sort()).toEqual(Object.keys(LEAST).sort());
});

it.each(Object.entries(LEAST))('lets use %s: %s and above', async (route, least) => {
  const [method = '', path = ''] = route.split(' ');
  const body = method === 'GET' || method === 'DELETE' ? undefined : {};
  const target = path.replaceAll(/:\w+/g, UNKNOWN);
  for (const who of ['stranger', ...ROLES] as const) {
    const status = await visitors[who].status(method, target, body);
    const isAllowed =
      least === 'anyone' || (who !== 'stranger' && ROLES.indexOf(who) >= ROLES.indexOf(least));
    if (isAllowed) expect([401, 403, 500]).not.toContain(status);
    else expect([who, status]).toEqual([who, who === 'stranger' ? 401 : 403]);
  }
});

it('keeps every change in the audit, without secrets', () => {
  const controllers = [...cloud.get(ModulesContainer).values()].flatMap(({ controllers: each }) => [
    ...each.values(),
  ]);
  const changing = controllers.flatMap(({ metatype, name }) => {
    const prototype = metatype?.prototype as Record<string, object> | undefined;
    if (!prototype) return [];
    return new MetadataScanner().getAllMethodNames(prototype).flatMap((method) => {
      const handler = prototype[method]!;
      const verb = Reflect.getMetadata(METHOD_METADATA, handler) as RequestMethod | undefined;
      return verb === undefined || verb === RequestMethod.GET ? [] : [{ name: `${name}.${method}`, handler }];
    });
  });
  expect(changing.length).toBeGreaterThan(5);
  for (const { name, handler } of changing) {
    const audited = Reflect.getMetadata(Audited.KEY, handler) as AuditedAs | undefined;
    expect([name, audited]).toEqual([name, expect.anything()]);
    const kept = [...(audited?.fields ?? []), ...(audited?.answerFields ?? [])];
    const secrets = kept.filter((field) => SECRET.test(field));
    expect([name, secrets.filter((field) => !NO_SECRETS.has(`${name} ${field}`))]).toEqual([name, []]);
  }
});
