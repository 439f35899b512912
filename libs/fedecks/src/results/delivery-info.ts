/** What `@Delivery()` stands for: the place of a message among the deliveries of the other side. */
export interface DeliveryInfo {
  /** 0 to 7. Within a lane messages are handled one after another, in the order in which the other side put them in. */
  readonly lane: number;
  /** Rises within the lane. The other side may leave numbers out. */
  readonly seq: number;
  /** Names the store of the device, or the process of the cloud, that has numbered the message. */
  readonly epoch: string;
  /** How often it was sent, this time included: above 1, a handler may have begun with it before. */
  readonly attempt: number;
  /** How long ago the other side put it in, in milliseconds. Undefined where that does not know it. */
  readonly ageMs: number | undefined;
  /** When the other side put it in, by the clock of this process. Undefined where `ageMs` is. */
  readonly sentAt: Date | undefined;
  /**
   * `device/epoch/lane/seq`: the same whenever the message is handled again, and no other message has it. For a column
   * that is unique: written in the transaction of the handler, it keeps a message from counting twice.
   */
  readonly key: string;
  /**
   * Keeps in your own transaction that the message is handled: with `setHandledIn` of your `deliveryStore`, in the cloud. If
   * the transaction commits, it is not handled again, whatever dies; if it rolls back, it is. Call it last.
   * @param tx is passed on to the store.
   * @throws {Error} (rejects) when a newer connection of the device delivers: roll back, as that one has it. Also where the
   *   store cannot join a transaction, and what the store throws.
   */
  readonly commit: (tx: unknown) => Promise<void>;
}
