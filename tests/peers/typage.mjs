// age's own TypeScript implementation as a command, for the tests: another reader and writer of the same files.
//
//   typage.mjs keygen [x25519]                          an identity and its recipient, a line each (default: post-quantum)
//   typage.mjs encrypt RECIPIENT[,RECIPIENT…] [FILE]    to standard output
//   typage.mjs decrypt IDENTITY [FILE]                  to standard output
//   typage.mjs vectors FOLDER                           writes every C2SP test vector of cctv-age there
//
// RECIPIENT is age1…, IDENTITY is AGE-SECRET-KEY-… or the name of a file that has one a line; either may be
// passphrase:TEXT instead. Without FILE, standard input is read. A failure exits with 1 and says why on standard error.

import { existsSync, mkdirSync, readFileSync, writeFileSync, writeSync } from "node:fs"
import { join } from "node:path"
import { webcrypto } from "node:crypto"

globalThis.crypto ??= webcrypto // Node.js 18 has it only there.

const SCRYPT_LOG_N = 10 // The lowest that keeps the tests quick; never for a real file.
const PASSPHRASE = "passphrase:"

function lines(text) {
  return text.split("\n").map((line) => line.trim()).filter((line) => line && !line.startsWith("#"))
}

async function keygen(age, kind) {
  const identity = kind === "x25519" ? await age.generateX25519Identity() : await age.generateHybridIdentity()
  return Buffer.from(`${identity}\n${await age.identityToRecipient(identity)}\n`)
}

async function encrypt(age, recipients, file) {
  const encrypter = new age.Encrypter()
  for (const recipient of recipients.startsWith(PASSPHRASE) ? [recipients] : recipients.split(",")) {
    if (recipient.startsWith(PASSPHRASE)) {
      encrypter.setScryptWorkFactor(SCRYPT_LOG_N)
      encrypter.setPassphrase(recipient.slice(PASSPHRASE.length))
    } else {
      encrypter.addRecipient(recipient)
    }
  }
  return encrypter.encrypt(readFileSync(file ?? 0))
}

async function decrypt(age, identity, file) {
  const decrypter = new age.Decrypter()
  if (identity.startsWith(PASSPHRASE)) {
    decrypter.addPassphrase(identity.slice(PASSPHRASE.length))
  } else {
    const identities = existsSync(identity) ? lines(readFileSync(identity, "utf8")) : [identity]
    for (const each of identities) decrypter.addIdentity(each)
  }
  return decrypter.decrypt(readFileSync(file ?? 0))
}

async function vectors(folder) {
  const all = await import("cctv-age")
  mkdirSync(folder, { recursive: true })
  for (const [name, bytes] of Object.entries(all.default ?? all)) writeFileSync(join(folder, name), bytes)
  return Buffer.alloc(0)
}

function writeAll(bytes) {
  for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at)
}

const [command, first, second] = process.argv.slice(2)
try {
  const age = await import("age-encryption")
  const commands = {
    keygen: () => keygen(age, first),
    encrypt: () => encrypt(age, first, second),
    decrypt: () => decrypt(age, first, second),
    vectors: () => vectors(first),
  }
  if (!(command in commands)) throw new Error("commands: keygen, encrypt, decrypt, vectors")
  writeAll(await commands[command]())
} catch (error) {
  console.error(`typage: ${error.message}`)
  process.exitCode = 1
}
