/** A refusal by AWS. A service throws it, and the wire renders it in the form of the protocol. */

export class Refusal extends Error {
  readonly code: string;
  readonly status: number;
  constructor(code: string, message: string, status = 400) {
    super(message);
    this.code = code;
    this.status = status;
  }
}
