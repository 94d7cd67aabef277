// What the AWS SDK calls `crypto`: the global of that name loads the whole of Web Crypto, with its streams and workers, for one random number.
import * as crypto from 'node:crypto';

export { crypto };
