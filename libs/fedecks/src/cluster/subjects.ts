/** Encodes any text as one token of a subject or key, without separators, wildcards and spaces. */
function token(text: string): string {
  return Buffer.from(text).toString('base64url');
}

/** The subjects of one endpoint, and the keys of its entries. */
export class Subjects {
  /** What keys begin with, and names of buckets of this endpoint alone end with. */
  readonly endpoint: string;
  private readonly root: string;

  constructor(
    private readonly namespace: string,
    path: string,
  ) {
    this.endpoint = token(path);
    this.root = `${namespace}.${this.endpoint}`;
  }

  /** The node that holds the device subscribes to this. */
  device(id: string): string {
    return `${this.root}.device.${token(id)}`;
  }

  /** Where a store publishes what is written of a device, which is {@link device}: for `publishAs` of its bucket. */
  static writesOf(namespace: string): string {
    return `${namespace}.{1}.device.{2}`;
  }

  /** That node alone listens here. */
  node(name: string): string {
    return `${this.root}.node.${token(name)}`;
  }

  /** That node alone listens here, for what is said about requests to devices. */
  requests(name: string): string {
    return `${this.root}.requests.${token(name)}`;
  }

  /** Nodes with members of the group listen here. */
  group(name: string): string {
    return `${this.root}.group.${token(name)}`;
  }

  /** Every node listens here, for what is for all devices. */
  get all(): string {
    return `${this.root}.all`;
  }

  /** Every node listens here, for what nodes say of themselves. */
  get nodes(): string {
    return `${this.root}.nodes`;
  }

  /** Every node listens here, for what is put in for devices and what becomes of it. */
  get queues(): string {
    return `${this.root}.queues`;
  }

  /** The name of a bucket of the fleet. */
  bucket(what: string): string {
    return `${this.namespace}_${what}`;
  }

  key(text: string): string {
    return `${this.endpoint}.${token(text)}`;
  }

  /** @param name is one token. */
  keyOfMessage(device: string, name: string): string {
    return `${this.key(device)}.${name}`;
  }

  /** Whether {@link key} would produce this key. */
  isKey(key: string): boolean {
    return key === this.key(this.textOf(key));
  }

  /** What the last token of a subject or key says. */
  textOf(subject: string): string {
    return Buffer.from(subject.slice(subject.lastIndexOf('.') + 1), 'base64url').toString();
  }

  /** All keys of this endpoint. */
  get keys(): string {
    return `${this.endpoint}.>`;
  }
}
