import * as cloud from '@fedecks/nest';
import * as client from '@fedecks/nest/client';
import * as clientNest from '@fedecks/nest/client-nest';
import * as wire from '@fedecks/nest/wire';
import { expect, test } from 'tstyche';

test('each entry has what messages are made of', () => {
  expect(cloud.tuple).type.toBe(wire.tuple);
  expect(client.tuple).type.toBe(wire.tuple);
  expect(clientNest.tuple).type.toBe(wire.tuple);
  expect(cloud.atom).type.toBe(wire.atom);
  expect(client.atom).type.toBe(wire.atom);
  expect(clientNest.atom).type.toBe(wire.atom);
  expect<cloud.Term>().type.toBe<wire.Term>();
  expect<client.Term>().type.toBe<wire.Term>();
  expect<clientNest.Term>().type.toBe<wire.Term>();
  expect<cloud.Contract>().type.toBe<wire.Contract>();
  expect<client.Contract>().type.toBe<wire.Contract>();
  expect<clientNest.Contract>().type.toBe<wire.Contract>();
});

test('client-nest has all of client', () => {
  expect<typeof clientNest>().type.toBeAssignableTo<typeof client>();
  expect<clientNest.ClientEvent>().type.toBe<client.ClientEvent>();
  expect<clientNest.ClientDetails>().type.toBe<client.ClientDetails>();
  expect<clientNest.Credentials>().type.toBe<client.Credentials>();
  expect<clientNest.FedecksClientOptions>().type.toBe<client.FedecksClientOptions>();
  expect<clientNest.TlsOptions>().type.toBe<client.TlsOptions>();
  expect<clientNest.TokenStore>().type.toBe<client.TokenStore>();
});
