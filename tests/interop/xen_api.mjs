// SPDX-License-Identifier: Apache-2.0
//
// The npm package xen-api, Xen Orchestra's own client, against the simulator.
// Usage: node xen_api.mjs READY.json
// READY.json is the line that xensim prints. The first pool must have two
// hosts and a running VM "web"; its second SR is seen by the second host alone.
// Prints `ok name` and `not ok name: why`; ends with 1 if one was not ok.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Readable } from 'node:stream'

import { createClient } from 'xen-api'

const MIB = 1024 * 1024
const ready = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const pool = ready.pools[0]
let failed = 0

function check(name, good, why = '') {
  if (good) {
    console.log('ok ' + name)
  } else {
    failed++
    console.log(`not ok ${name}: ${why}`)
  }
}

async function refuses(name, code, promise) {
  try {
    await promise
    check(name, false, 'was not refused')
  } catch (error) {
    check(name, error.code === code, `wanted ${code}, got ${error.code ?? error}`)
  }
}

const control = path => fetch(ready.control + '/sim/' + path)

async function post(path, body) {
  const answer = await fetch(ready.control + '/sim/' + path, { body: JSON.stringify(body), method: 'POST' })
  return answer.json()
}

function client(host, extra) {
  return createClient({
    url: host.url,
    auth: { user: pool.user, password: pool.password },
    allowUnauthorized: true,
    callTimeout: 30e3,
    syncStackTraces: true,
    watchEvents: false,
    ...extra,
  })
}

async function readAll(stream) {
  const parts = []
  for await (const part of stream) {
    parts.push(part)
  }
  return Buffer.concat(parts)
}

// An XVA's entries; what every tar reader would say of them.
function entries(xva) {
  const found = []
  let at = 0
  while (at + 512 <= xva.length) {
    const head = xva.subarray(at, at + 512)
    if (head.every(b => b === 0)) {
      break
    }
    const text = (from, to) => head.toString('latin1', from, to).replace(/\0.*$/, '')
    const size = parseInt(text(124, 136), 8)
    found.push({ name: text(0, 100), data: xva.subarray(at + 512, at + 512 + size) })
    at += 512 + Math.ceil(size / 512) * 512
  }
  return { found, end: at }
}

// Disks by id, as Xen Orchestra's reader would put them together.
function disks(found) {
  const byId = new Map()
  for (const { name, data } of found) {
    const [id, block] = name.split('/')
    if (block === undefined || block.includes('.')) {
      continue
    }
    const disk = byId.get(id) ?? { next: 0, parts: [], size: 0 }
    byId.set(id, disk)
    const gap = (+block - disk.next) * MIB
    disk.parts.push(Buffer.alloc(gap), data)
    disk.size += gap + data.length
    disk.next = +block + 1
  }
  return new Map([...byId].map(([id, disk]) => [id, Buffer.concat(disk.parts)]))
}

const sha = data => createHash('sha256').update(data).digest('hex')

async function diskHashes(xapi, vmRef) {
  const hashes = []
  for (const vbd of await xapi.getField('VM', vmRef, 'VBDs')) {
    const record = await xapi.getRecord('VBD', vbd)
    if (record.type === 'Disk') {
      hashes.push(sha(Buffer.from(await (await control('disk?vdi=' + encodeURIComponent(record.VDI))).arrayBuffer())))
    }
  }
  return hashes.sort()
}

async function readRecords(xapi) {
  check('logs in and tells the pool', xapi.pool.name_label === pool.name, xapi.pool.name_label)
  const vm = xapi.objects.all
  const web = Object.values(vm).find(o => o.$type === 'VM' && o.name_label === 'web')
  check('finds the VM through its events', web?.uuid === pool.vms.web, web?.uuid)
  check('types its fields', web.memory_static_max === 1073741824 && web.is_a_template === false, web.memory_static_max)
  check('links records', web.$VBDs.length === 3 && web.$VIFs[0].$network.name_label === 'eth0', String(web.$VBDs))
  const record = await xapi.getRecordByUuid('VM', pool.vms.web)
  check('reads a record by uuid', record.$ref === web.$ref, record.$ref)
  await refuses('tells an API error', 'HANDLE_INVALID', xapi.call('VM.get_record', 'OpaqueRef:none'))
  await refuses('tells an unknown method', 'MESSAGE_METHOD_UNKNOWN', xapi.call('VM.no_such'))
  return web
}

async function followEvents(xapi, web) {
  await post('vm/set', { vm: 'web', set: { name_description: 'changed behind its back' } })
  const seen = await xapi.barrier(web.$ref)
  check('sees a change that others made', seen.name_description === 'changed behind its back', seen.name_description)
  await web.update_other_config('interop', 'yes')
  check('writes a map', (await xapi.barrier(web.$ref)).other_config.interop === 'yes')
  await web.add_tags('interop')
  check('adds to a set', (await xapi.barrier(web.$ref)).tags.includes('interop'))
}

async function snapshot(xapi, web) {
  const ref = await xapi.callAsync('VM.snapshot', web.$ref, 'interop snapshot').then(result => result ?? '')
  const snap = await xapi.barrier(ref)
  check('takes a snapshot as a task', snap.is_a_snapshot && snap.$snapshot_of.$ref === web.$ref, JSON.stringify(ref))
  check('a snapshot is a template', snap.is_a_template === true)
  await snap.set_is_a_template(false)
  return ref
}

async function download(xapi, ref, compression) {
  const response = await xapi.getResource('/export/', {
    query: { ref, use_compression: compression },
    task: xapi.createTask('interop export'),
  })
  const body = await readAll(response.body)
  await response.task
  return body
}

async function exports(xapi, ref) {
  const xva = await download(xapi, ref, 'false')
  const { found, end } = entries(xva)
  check('downloads an export', found[0]?.name === 'ova.xml', found[0]?.name)
  check('it ends with two blocks of zeros', xva.length === end + 1024, `${xva.length} ${end}`)
  const got = [...disks(found).values()].map(sha).sort()
  const wanted = await diskHashes(xapi, ref)
  check('the disks are equal, byte for byte', got.length === 2 && String(got) === String(wanted), String(got))
  const other = await download(xapi, ref, 'zstd')
  check('zstd is one frame', other.readUInt32LE(0) === 0xfd2fb528, other.length)
  return xva
}

async function upload(xapi, ref, xva, sr) {
  const body = Readable.from([xva])
  body.length = xva.length
  const task = await xapi.createTask('interop import')
  const result = await xapi.putResource(body, '/import/', { query: { sr_id: sr }, task })
  const made = /OpaqueRef:[0-9a-f-]+/.exec(JSON.stringify(result))?.[0]
  const vm = await xapi.barrier(made)
  check('imports it again', vm.$type === 'VM' && vm.uuid !== pool.vms.web, JSON.stringify(result))
  const wanted = await diskHashes(xapi, ref)
  const got = await diskHashes(xapi, made)
  check('what came in is what went out', String(got) === String(wanted), `${got} ${wanted}`)
  return made
}

async function members(xapi, xva) {
  const [first, second] = pool.hosts
  const slave = client(second)
  await slave.connect()
  check('follows HOST_IS_SLAVE to the coordinator', slave.pool.name_label === pool.name)
  await slave.disconnect()
  const sr = (await xapi.getRecordByUuid('SR', pool.srs.far)).$ref
  const before = await (await control('counters')).json()
  await upload(xapi, (await xapi.call('VM.get_by_name_label', 'far'))[0], xva.far, sr)
  const after = await (await control('counters')).json()
  const imports = c => c.pools[0].hosts.map(h => h.imports)
  check('follows a redirect to the member that sees the SR', imports(after)[1] > imports(before)[1] && imports(after)[0] === imports(before)[0], `${first.name} ${imports(after)}`)
}

async function cleanUp(xapi, ref) {
  const vdis = []
  for (const vbd of await xapi.getField('VM', ref, 'VBDs')) {
    const record = await xapi.getRecord('VBD', vbd)
    if (record.type === 'Disk') {
      vdis.push(record.VDI)
    }
  }
  await xapi.callAsync('VM.destroy', ref)
  for (const vdi of vdis) {
    await xapi.callAsync('VDI.destroy', vdi)
  }
  await xapi.barrier()
  check('removes the snapshot and its disks', ![ref, ...vdis].some(r => xapi.getObjectByRef(r, undefined) !== undefined))
}

async function main() {
  await refuses(
    'a wrong password is refused',
    'SESSION_AUTHENTICATION_FAILED',
    client(pool.hosts[0], { auth: { user: pool.user, password: 'wrong' } }).connect()
  )
  const xapi = client(pool.hosts[0], { watchEvents: true })
  await xapi.connect()
  await xapi.objectsFetched
  const web = await readRecords(xapi)
  await followEvents(xapi, web)
  const ref = await snapshot(xapi, web)
  const xva = await exports(xapi, ref)
  await upload(xapi, ref, xva, (await xapi.getRecordByUuid('SR', pool.srs.near)).$ref)
  const far = (await xapi.call('VM.get_by_name_label', 'far'))[0]
  await members(xapi, { far: await download(xapi, far, 'false') })
  await cleanUp(xapi, ref)
  await xapi.disconnect()
}

try {
  await main()
} catch (error) {
  failed++
  console.log('not ok it runs to its end:', error?.stack ?? error)
}
process.exit(failed ? 1 : 0)
