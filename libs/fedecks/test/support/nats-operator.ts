/**
 * What `nsc` generates for servers in operator mode: an operator, an account with JetStream, and its users.
 *
 *     const operator = new NatsOperator();
 *     const nats = await NatsServer.configured(operator.config);
 *     operator.creds();                     // the text of a credentials file
 *     new NatsOperator().creds();           // credentials of an unknown operator
 */
import { randomUUID } from 'node:crypto';
import { nkeys } from '@nats-io/transport-node';

type KeyPair = ReturnType<typeof nkeys.createUser>;

const UNLIMITED = { subs: -1, data: -1, payload: -1 };
const ACCOUNT = { ...UNLIMITED, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 };
const JETSTREAM = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };

export class NatsOperator {
  private readonly operator = nkeys.createOperator();
  private readonly account = nkeys.createAccount();
  private readonly system = nkeys.createAccount();

  /** The configuration of a server that trusts this operator. */
  get config(): string {
    const { operator, account, system } = this;
    const accountJwt = jwt(operator, account, { type: 'account', limits: { ...ACCOUNT, ...JETSTREAM } });
    const systemJwt = jwt(operator, system, { type: 'account', limits: ACCOUNT });
    return `
      operator: ${jwt(operator, operator, { type: 'operator' })}
      system_account: ${system.getPublicKey()}
      resolver: MEMORY
      resolver_preload: {
        ${account.getPublicKey()}: ${accountJwt}
        ${system.getPublicKey()}: ${systemJwt}
      }`;
  }

  /** A credentials file of a new user. */
  creds(): string {
    const user = nkeys.createUser();
    const block = (what: string, text: string): string =>
      `-----BEGIN ${what}-----\n${text}\n------END ${what}------\n`;
    const seed = Buffer.from(user.getSeed()).toString();
    return (
      block('NATS USER JWT', jwt(this.account, user, { type: 'user', ...UNLIMITED })) +
      `\nIMPORTANT: NKEYs are sensitive.\n\n${block('USER NKEY SEED', seed)}`
    );
  }
}

function jwt(issuer: KeyPair, subject: KeyPair, nats: object): string {
  const claims = {
    jti: randomUUID(),
    iat: Math.floor(Date.now() / 1_000),
    iss: issuer.getPublicKey(),
    sub: subject.getPublicKey(),
    name: 'test',
    nats: { version: 2, ...nats },
  };
  const encoded = [{ typ: 'JWT', alg: 'ed25519-nkey' }, claims].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  );
  const signature = issuer.sign(Buffer.from(encoded.join('.')));
  return [...encoded, Buffer.from(signature).toString('base64url')].join('.');
}
