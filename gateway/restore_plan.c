/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/restore_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/parse.h"

#define CHOICES_MAX ((size_t)300) /* bytes of a list of choices */
#define CHOICES_TWO ((size_t)80)  /* ... where there are two lists */
#define LACKS_MAX ((size_t)180)   /* bytes of what is not mapped */
#define LACKS_NAME 40u            /* bytes of a name there */

/* --- choices, for messages ----------------------------------------------- */

static void add_choice(struct buf *out, size_t max, const char *name)
{
    if (out->len + strlen(name) + 8 > max) {
        if (!out->failed && out->len && out->data[out->len - 1] != '.')
            buf_add_text(out, ", ...");
        return;
    }
    buf_addf(out, "%s'%s'", out->len ? ", " : "", name);
}

static void sr_choices(const struct xenapi_inventory *t, size_t max,
                       struct buf *out)
{
    for (size_t i = 0; i < t->sr_count; i++)
        if (t->srs[i].attached && strcmp(t->srs[i].content_type, "iso") != 0)
            add_choice(out, max, t->srs[i].name);
}

static void network_choices(const struct xenapi_inventory *t, size_t max,
                            struct buf *out)
{
    for (size_t i = 0; i < t->network_count; i++)
        add_choice(out, max, t->networks[i].name);
}

/* --- what is not mapped: all of it is told at once ------------------------ */

/* A disk or NIC without a place, and where it was. */
struct lack {
    const char *kind;  /* "disk" or "NIC" */
    const char *place; /* "SR" or "network" */
    const char *device, *was;
};

struct lacks {
    struct lack *all; /* room for all disks and NICs */
    size_t count;
};

static bool is_same_place(const struct lack *a, const struct lack *b)
{
    return a->place == b->place && strcmp(a->was, b->was) == 0;
}

/* "SR 'old' of disk 0, 1, network 'lan' of NIC 0": those of one place stand
 * together. */
static void list_lacks(const struct lacks *l, struct buf *out)
{
    size_t told = 0;

    for (size_t i = 0; i < l->count; i++) {
        const struct lack *a = &l->all[i];
        bool known = false;

        for (size_t k = 0; k < i && !known; k++)
            known = is_same_place(&l->all[k], a);
        if (known || out->len + LACKS_NAME + 32 > LACKS_MAX)
            continue;
        buf_addf(out, "%s%s '%.*s' of %s ", out->len ? ", " : "", a->place,
                 (int)parse_utf8_cut(a->was, LACKS_NAME), a->was, a->kind);
        for (size_t k = i; k < l->count; k++) {
            if (!is_same_place(&l->all[k], a) || out->len + 12 > LACKS_MAX)
                continue;
            buf_addf(out, "%s%.8s", k == i ? "" : ", ", l->all[k].device);
            told++;
        }
    }
    if (told < l->count)
        buf_addf(out, " and %zu more", l->count - told);
}

static enum err_code refuse_lacks(const struct xenapi_inventory *t,
                                  const struct lacks *l, struct err *err)
{
    const struct lack *nic = NULL;
    bool disks = l->all[0].kind[0] == 'd';
    struct buf what, srs, networks;
    size_t max;

    for (size_t i = 0; i < l->count && !nic; i++)
        if (l->all[i].kind[0] == 'N')
            nic = &l->all[i];
    max = disks && nic ? CHOICES_TWO : CHOICES_MAX;
    buf_init(&what, LACKS_MAX + 64);
    buf_init(&srs, CHOICES_MAX + 64);
    buf_init(&networks, CHOICES_MAX + 64);
    list_lacks(l, &what);
    sr_choices(t, max, &srs);
    network_choices(t, max, &networks);
    err_set(err, ERR_QUOTA, 0, "pool %s lacks %s: map with", t->pool_name,
            buf_text(&what));
    if (disks)
        err_set(err, ERR_QUOTA, 0, "%s --sr (choices: %s)%s", err->text,
                srs.len ? buf_text(&srs) : "none", nic ? " and" : "");
    if (nic)
        err_set(err, ERR_QUOTA, 0,
                "%s --network %s=NETWORK or %s=none (choices: %s)", err->text,
                nic->device, nic->device,
                networks.len ? buf_text(&networks) : "none");
    buf_fini(&what);
    buf_fini(&srs);
    buf_fini(&networks);
    return err->code;
}

/* --- disks --------------------------------------------------------------- */

static enum err_code find_sr(const struct xenapi_inventory *t,
                             const char *typed, const struct xenapi_sr **out,
                             struct err *err)
{
    const struct xenapi_sr *sr = xenapi_inventory_sr(t, typed);
    size_t count = 0;
    struct buf choices;

    if (!sr)
        sr = xenapi_inventory_sr_by_name(t, typed, &count);
    if (sr && count <= 1) {
        *out = sr;
        return ERR_OK;
    }
    if (count > 1)
        return err_set(err, ERR_CONFLICT, 0,
                       "pool %s has %zu SRs named '%s': name it by uuid",
                       t->pool_name, count, typed);
    buf_init(&choices, CHOICES_MAX + 64);
    sr_choices(t, CHOICES_MAX, &choices);
    err_set(err, ERR_NOT_FOUND, 0, "pool %s has no SR '%s'; it has %s",
            t->pool_name, typed, choices.len ? buf_text(&choices) : "none");
    buf_fini(&choices);
    return err->code;
}

/* The SR of one disk: mapped by position, by "*", or the same uuid there; NULL:
 * none of these. */
static enum err_code sr_of_disk(const struct restore_plan_opts *o,
                                const struct ova_disk *d,
                                const struct xenapi_sr **out, struct err *err)
{
    const struct json *map = json_get(o->params, "sr");
    const char *typed = json_text(json_get(map, d->userdevice), NULL);

    if (!typed)
        typed = json_text(json_get(map, "*"), NULL);
    if (typed)
        return find_sr(o->target, typed, out, err);
    *out = *d->sr_uuid ? xenapi_inventory_sr(o->target, d->sr_uuid) : NULL;
    return ERR_OK;
}

static enum err_code check_room(const struct restore_plan_opts *o,
                                const struct xenapi_sr *sr, struct err *err)
{
    uint64_t need = 0, room = xenapi_inventory_sr_free(sr);
    char a[32], b[32];

    for (size_t i = 0; i < ova_disk_count(o->ova); i++)
        need += ova_disk(o->ova, i)->virtual_size;
    if (!sr->thick && need > o->data_bytes)
        need = o->data_bytes;
    if (need <= room)
        return ERR_OK;
    parse_size_text(need, a, sizeof(a));
    parse_size_text(room, b, sizeof(b));
    return err_set(err, ERR_QUOTA, 0,
                   "SR '%s' of pool %s has %s free and the restore needs %s%s",
                   sr->name, o->target->pool_name, b, a,
                   sr->thick ? " (its disks take their full size)" : "");
}

static enum err_code plan_disks(const struct restore_plan_opts *o,
                                struct restore_plan *plan, struct lacks *lacks,
                                struct err *err)
{
    for (size_t i = 0; i < ova_disk_count(o->ova); i++) {
        const struct ova_disk *d = ova_disk(o->ova, i);
        const struct xenapi_sr *sr = NULL;

        if (sr_of_disk(o, d, &sr, err) != ERR_OK)
            return err->code;
        if (!sr) {
            lacks->all[lacks->count++] =
                (struct lack){"disk", "SR", d->userdevice, d->sr_name};
            continue;
        }
        if (plan->sr && plan->sr != sr)
            return err_set(err, ERR_QUOTA, 0,
                           "disks would go to two SRs ('%s' and '%s'), and an "
                           "import takes one: map all with --sr",
                           plan->sr->name, sr->name);
        if (!sr->attached)
            return err_set(err, ERR_QUOTA, 0,
                           "SR '%s' of pool %s is not plugged in anywhere",
                           sr->name, o->target->pool_name);
        plan->sr = sr;
    }
    return plan->sr && !lacks->count ? check_room(o, plan->sr, err) : ERR_OK;
}

/* A mapping that names no disk or NIC is a mistake of the user's. */
static enum err_code check_keys(const struct restore_plan_opts *o,
                                struct err *err)
{
    const struct json *srs = json_get(o->params, "sr");
    const struct json *nets = json_get(o->params, "network");
    const char *key;

    for (size_t i = 0; (key = json_key_at(srs, i, NULL)); i++) {
        bool found = strcmp(key, "*") == 0;

        for (size_t k = 0; k < ova_disk_count(o->ova); k++)
            found |= strcmp(ova_disk(o->ova, k)->userdevice, key) == 0;
        if (!found)
            return err_set(err, ERR_NOT_FOUND, 0,
                           "the point has no disk %s", key);
    }
    for (size_t i = 0; (key = json_key_at(nets, i, NULL)); i++) {
        bool found = strcmp(key, "*") == 0;

        for (size_t k = 0; k < ova_nic_count(o->ova); k++)
            found |= strcmp(ova_nic(o->ova, k)->device, key) == 0;
        if (!found)
            return err_set(err, ERR_NOT_FOUND, 0, "the point has no NIC %s",
                           key);
    }
    return ERR_OK;
}

/* --- NICs ---------------------------------------------------------------- */

static enum err_code find_network(const struct xenapi_inventory *t,
                                  const char *typed,
                                  const struct xenapi_network **out,
                                  struct err *err)
{
    const struct xenapi_network *n = xenapi_inventory_network(t, typed);
    size_t count = 0;
    struct buf choices;

    if (!n)
        n = xenapi_inventory_network_by_name(t, typed, &count);
    if (n && count <= 1) {
        *out = n;
        return ERR_OK;
    }
    if (count > 1)
        return err_set(err, ERR_CONFLICT, 0,
                       "pool %s has %zu networks named '%s': name it by uuid",
                       t->pool_name, count, typed);
    buf_init(&choices, CHOICES_MAX + 64);
    network_choices(t, CHOICES_MAX, &choices);
    err_set(err, ERR_NOT_FOUND, 0, "pool %s has no network '%s'; it has %s",
            t->pool_name, typed, choices.len ? buf_text(&choices) : "none");
    buf_fini(&choices);
    return err->code;
}

static enum err_code plan_nic(const struct restore_plan_opts *o,
                              struct restore_plan_nic *n, struct lacks *lacks,
                              struct err *err)
{
    const struct json *map = json_get(o->params, "network");
    const char *typed = json_text(json_get(map, n->nic->device), NULL);

    if (!typed)
        typed = json_text(json_get(map, "*"), NULL);
    if (typed && strcmp(typed, "none") == 0)
        return ERR_OK;
    if (typed)
        return find_network(o->target, typed, &n->network, err);
    if (*n->nic->network_uuid)
        n->network = xenapi_inventory_network(o->target,
                                              n->nic->network_uuid);
    if (!n->network)
        lacks->all[lacks->count++] = (struct lack){
            "NIC", "network", n->nic->device, n->nic->network_name};
    return ERR_OK;
}

static enum err_code check_mac(const struct restore_plan_opts *o,
                               const char *mac, struct err *err)
{
    for (size_t i = 0; i < o->target->vm_count; i++) {
        const struct xenapi_vm *vm = &o->target->vms[i];

        for (size_t k = 0;
             !vm->is_snapshot && !vm->is_template && k < vm->nic_count; k++)
            if (strcasecmp(vm->nics[k].mac, mac) == 0)
                return err_set(err, ERR_CONFLICT, 0,
                               "MAC %s is in use by VM '%s' of pool %s: restore "
                               "with --mac new", mac, vm->name,
                               o->target->pool_name);
    }
    return ERR_OK;
}

static enum err_code plan_nics(const struct restore_plan_opts *o,
                               struct restore_plan *plan, struct lacks *lacks,
                               struct err *err)
{
    size_t count = ova_nic_count(o->ova);

    plan->nics = calloc(count ? count : 1, sizeof(*plan->nics));
    if (!plan->nics)
        return err_set(err, ERR_NOMEM, 0, "restore");
    plan->nic_count = count;
    for (size_t i = 0; i < count; i++) {
        plan->nics[i].nic = ova_nic(o->ova, i);
        if (plan_nic(o, &plan->nics[i], lacks, err) != ERR_OK)
            return err->code;
        if (plan->keep_mac && plan->nics[i].network &&
            check_mac(o, plan->nics[i].nic->mac, err) != ERR_OK)
            return err->code;
    }
    return ERR_OK;
}

/* --- the VM -------------------------------------------------------------- */

static enum err_code check_vm(const struct restore_plan_opts *o,
                              const char *vm_uuid,
                              const struct restore_plan *plan, struct err *err)
{
    const struct ova_version *v = ova_version(o->ova);
    const struct xenapi_vm *vm = xenapi_inventory_vm(o->target, vm_uuid);

    if (plan->keep_uuid && vm)
        return err_set(err, ERR_CONFLICT, 0,
                       "VM uuid %s is in use by %s'%s' of pool %s: restore with "
                       "--uuid new", vm_uuid, vm->is_template ? "template " : "",
                       vm->name, o->target->pool_name);
    for (size_t i = 0; i < o->target->host_count; i++) {
        const struct xenapi_host *h = &o->target->hosts[i];

        if (!h->coordinator || !h->xapi_major)
            continue;
        if (v->xapi_major > h->xapi_major ||
            (v->xapi_major == h->xapi_major && v->xapi_minor > h->xapi_minor))
            return err_set(err, ERR_CONFLICT, 0,
                           "it was exported by XAPI %d.%d and pool %s runs "
                           "%d.%d, which refuses newer exports",
                           v->xapi_major, v->xapi_minor, o->target->pool_name,
                           h->xapi_major, h->xapi_minor);
    }
    return ERR_OK;
}

enum err_code restore_plan_make(const struct restore_plan_opts *opts,
                                struct restore_plan *out, struct err *err)
{
    const struct json *p = opts->params;
    struct restore_plan plan = {
        .keep_mac = strcmp(json_text(json_get(p, "mac"), "new"), "keep") == 0,
        .keep_uuid = strcmp(json_text(json_get(p, "uuid"), "new"), "keep") == 0,
        .start = json_bool(json_get(p, "start"), false),
        .dry_run = json_bool(json_get(p, "dry_run"), false),
        .name = json_text(json_get(p, "name"), NULL),
    };

    struct lacks lacks = {
        .all = calloc(ova_disk_count(opts->ova) + ova_nic_count(opts->ova) + 1,
                      sizeof(*lacks.all)),
    };

    err_clear(err);
    if (!lacks.all)
        err_set(err, ERR_NOMEM, 0, "restore");
    else if (check_keys(opts, err) == ERR_OK &&
             check_vm(opts, opts->vm_uuid, &plan, err) == ERR_OK &&
             plan_disks(opts, &plan, &lacks, err) == ERR_OK &&
             plan_nics(opts, &plan, &lacks, err) == ERR_OK && lacks.count)
        refuse_lacks(opts->target, &lacks, err);
    free(lacks.all);
    if (err->code == ERR_OK)
        *out = plan;
    else
        restore_plan_fini(&plan);
    return err->code;
}

void restore_plan_fini(struct restore_plan *plan)
{
    free(plan->nics);
    plan->nics = NULL;
    plan->nic_count = 0;
}
