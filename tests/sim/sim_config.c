/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/parse.h"
#include "tests/sim/sim_call.h"
#include "tests/sim/sim_config_vm.h"
#include "tests/sim/sim_jsonrpc.h"
#include "tests/sim/sim_mem.h"
#include "tests/sim/sim_sr.h"
#include "tests/sim/sim_tls.h"
#include "tests/sim/sim_vm.h"

#define FILE_MAX (64u << 20)

enum err_code sim_config_keys(const struct json *j, const char *keys,
                              const char *what, struct err *err)
{
    if (j && json_kind(j) != JSON_OBJECT)
        return err_set(err, ERR_ARGUMENT, 0, "%s: wanted an object", what);
    for (size_t i = 0; i < json_count(j); i++) {
        const struct json *value;
        const char *key = json_key_at(j, i, &value);
        char *word = sim_mem_printf(" %s ", key);
        bool known = strstr(keys, word) != NULL;

        free(word);
        if (!known)
            return err_set(err, ERR_ARGUMENT, 0, "%s: unknown key '%s'", what,
                           key);
    }
    return ERR_OK;
}

enum err_code sim_config_size(const struct json *j, uint64_t otherwise,
                              const char *what, uint64_t *out, struct err *err)
{
    *out = otherwise;
    if (!j)
        return ERR_OK;
    if (json_kind(j) == JSON_INT && json_int(j, -1) >= 0) {
        *out = (uint64_t)json_int(j, 0);
        return ERR_OK;
    }
    if (parse_size(json_text(j, ""), 0, INT64_MAX, out))
        return ERR_OK;
    return err_set(err, ERR_ARGUMENT, 0, "%s: wanted a size", what);
}

void sim_config_uuid(const struct sim_pool *pool, const struct json *j,
                     const char *cls, const char *name, char out[37])
{
    const char *given = json_text(json_get(j, "uuid"), NULL);
    char *text = sim_mem_printf("%s/%s/%s", pool->name, cls, name);
    uint8_t digest[32];
    unsigned len = sizeof(digest);
    struct id16 id;

    if (!given || !parse_uuid(given, &id)) {
        EVP_Digest(text, strlen(text), digest, &len, EVP_sha256(), NULL);
        memcpy(id.b, digest, 16);
        id.b[6] = (id.b[6] & 0x0f) | 0x50;
        id.b[8] = (id.b[8] & 0x3f) | 0x80;
    }
    parse_uuid_text(&id, out);
    free(text);
}

enum err_code sim_config_field(struct sim_pool *pool, struct sim_object *o,
                               const char *field, const struct json *value,
                               struct err *err)
{
    int f = sim_class_field(o->cls, field);
    struct sim_value *v = sim_jsonrpc_value(value), *cast;

    cast = f >= 0 ? sim_value_cast(v, o->cls->fields[f].kind) : NULL;
    sim_value_free(v);
    if (!cast)
        return err_set(err, ERR_ARGUMENT, 0, "%s.%s: %s", o->cls->name, field,
                       f < 0 ? "no such field" : "wrong type");
    sim_db_set(pool->db, o, field, cast);
    return ERR_OK;
}

void sim_config_set(struct sim_pool *pool, struct sim_object *o,
                    const struct json *j, const char *key)
{
    struct err err;

    if (json_get(j, key))
        sim_config_field(pool, o, key, json_get(j, key), &err);
}

static const char *text_of(const struct json *j, const char *key,
                           const char *otherwise)
{
    return json_text(json_get(j, key), otherwise);
}

static char *maybe_dup(const char *text)
{
    return text ? sim_mem_dup(text) : NULL;
}

/* ---- hosts ---- */

static enum err_code host_tls(struct sim_host *h, const struct json *tls,
                              const char *dir, struct err *err)
{
    const char *certificate = text_of(tls, "certificate", NULL);

    if (sim_config_keys(tls,
                        " certificate key name expired key_bits min max "
                        "ciphers ",
                        "tls", err) != ERR_OK)
        return err->code;
    h->tls_name = maybe_dup(text_of(tls, "name", NULL));
    h->tls_min = maybe_dup(text_of(tls, "min", NULL));
    h->tls_max = maybe_dup(text_of(tls, "max", NULL));
    h->tls_ciphers = maybe_dup(text_of(tls, "ciphers", NULL));
    h->tls_key_bits = (unsigned)json_int(json_get(tls, "key_bits"), 2048);
    if (certificate)
        return sim_tls_load(h, certificate, text_of(tls, "key", certificate),
                            err);
    return sim_tls_make(h, dir, json_bool(json_get(tls, "expired"), false),
                        err);
}

static void software_version(const struct sim_pool *pool, struct sim_object *o)
{
    struct sim_value *m = sim_value_map();

    sim_value_put_text(m, "product_version", pool->version);
    sim_value_put_text(m, "product_brand", pool->brand);
    sim_value_put_text(m, "build_number", pool->build);
    sim_value_put_text(m, "hostname", "localhost");
    sim_value_put_text(m, "date", "2026-08-01");
    sim_value_put_text(m, "xapi", pool->xapi_version);
    sim_value_put_text(m, "xen", "4.17.5");
    sim_value_put_text(m, "linux", "4.19.0+1");
    sim_db_set(pool->db, o, "software_version", m);
}

/* dom0, and what a host record tells. */
static void host_record(struct sim_host *h)
{
    struct sim_pool *pool = h->pool;
    struct sim_db *db = pool->db;
    struct sim_object *o = sim_db_create(db, "host", NULL, h->uuid);
    struct sim_object *metrics = sim_db_create(db, "host_metrics", NULL, NULL);
    struct sim_object *dom0;
    char uuid[37];
    char *name = sim_mem_printf("Control domain on host: %s", h->name);

    snprintf(h->ref, sizeof(h->ref), "%s", o->ref);
    sim_db_set_text(db, o, "name_label", h->name);
    sim_db_set_text(db, o, "hostname", h->name);
    sim_db_set_text(db, o, "address", h->address);
    sim_db_set_int(db, o, "API_version_major", pool->api_major);
    sim_db_set_int(db, o, "API_version_minor", pool->api_minor);
    sim_db_set_text(db, o, "edition", "xcp-ng");
    sim_db_set_text(db, o, "metrics", metrics->ref);
    sim_db_set_int(db, metrics, "memory_total", 64LL << 30);
    sim_db_set_int(db, metrics, "memory_free", 48LL << 30);
    software_version(pool, o);
    sim_config_uuid(pool, NULL, "dom0", h->name, uuid);
    dom0 = sim_vm_new(pool, uuid);
    sim_db_set_text(db, dom0, "name_label", name);
    sim_db_set_bool(db, dom0, "is_control_domain", true);
    sim_db_set_text(db, dom0, "domain_type", "pv");
    sim_vm_set_power(pool, dom0, "Running", o->ref);
    sim_db_set_int(db, dom0, "domid", 0);
    sim_db_set_text(db, o, "control_domain", dom0->ref);
    free(name);
}

static enum err_code load_host(struct sim_pool *pool, size_t i,
                               const struct json *j, const char *dir,
                               struct err *err)
{
    struct sim_host *h = &pool->hosts[i];
    const char *name = text_of(j, "name", NULL);
    size_t p = (size_t)(pool - pool->sim->pools);

    if (sim_config_keys(j, " name uuid address other_config tls ", "host",
                        err) != ERR_OK)
        return err->code;
    h->pool = pool;
    h->index = i;
    h->https_fd = h->http_fd = -1;
    pthread_mutex_init(&h->lock, NULL);
    h->name =
        name ? sim_mem_dup(name) : sim_mem_printf("%s-%zu", pool->name, i + 1);
    h->address = json_get(j, "address")
                     ? sim_mem_dup(text_of(j, "address", ""))
                     : sim_mem_printf("127.0.%zu.%zu", 10 + p % 240, 1 + i);
    sim_config_uuid(pool, j, "host", h->name, h->uuid);
    host_record(h);
    sim_config_set(pool, sim_db_find(pool->db, "host", h->ref), j,
                   "other_config");
    return host_tls(h, json_get(j, "tls"), dir, err);
}

/* ---- networks and SRs ---- */

static enum err_code load_network(struct sim_pool *pool, size_t i,
                                  const struct json *j, struct err *err)
{
    const char *name = text_of(j, "name", "eth0");
    char uuid[37], bridge[16], mac[18];
    struct sim_db *db = pool->db;
    struct sim_object *n;

    if (sim_config_keys(j,
                        " name uuid bridge mtu vlan purpose tags "
                        "other_config ",
                        "network", err) != ERR_OK)
        return err->code;
    snprintf(bridge, sizeof(bridge), "xenbr%zu", i);
    sim_config_uuid(pool, j, "network", name, uuid);
    n = sim_db_create(db, "network", NULL, uuid);
    sim_db_set_text(db, n, "name_label", name);
    sim_db_set_text(db, n, "bridge", text_of(j, "bridge", bridge));
    sim_db_set_int(db, n, "MTU", json_int(json_get(j, "mtu"), 1500));
    sim_config_set(pool, n, j, "purpose");
    sim_config_set(pool, n, j, "tags");
    sim_config_set(pool, n, j, "other_config");
    for (size_t k = 0; k < pool->host_count; k++) {
        struct sim_object *pif = sim_db_create(db, "PIF", NULL, NULL);
        char device[16];

        snprintf(device, sizeof(device), "eth%zu", i);
        snprintf(mac, sizeof(mac), "02:00:%02zx:%02zx:00:%02zx", k & 255,
                 (size_t)(pool - pool->sim->pools) & 255, i & 255);
        sim_db_set_text(db, pif, "network", n->ref);
        sim_db_set_text(db, pif, "host", pool->hosts[k].ref);
        sim_db_set_text(db, pif, "device", device);
        sim_db_set_text(db, pif, "MAC", mac);
        sim_db_set_text(db, pif, "IP", i == 0 ? pool->hosts[k].address : "");
        sim_db_set_bool(db, pif, "management", i == 0);
        sim_db_set_int(db, pif, "VLAN", json_int(json_get(j, "vlan"), -1));
    }
    return ERR_OK;
}

static enum err_code sr_pbds(struct sim_pool *pool, struct sim_object *sr,
                             const struct json *j, struct err *err)
{
    const char *only = text_of(j, "host", pool->hosts[0].name);
    bool shared = json_bool(json_get(j, "shared"), false), any = false;

    for (size_t i = 0; i < pool->host_count; i++) {
        struct sim_object *pbd;

        if (!shared && strcmp(pool->hosts[i].name, only) != 0)
            continue;
        any = true;
        pbd = sim_db_create(pool->db, "PBD", NULL, NULL);
        sim_db_set_text(pool->db, pbd, "host", pool->hosts[i].ref);
        sim_db_set_text(pool->db, pbd, "SR", sr->ref);
    }
    if (!any)
        return err_set(err, ERR_ARGUMENT, 0, "sr: no host '%s'", only);
    return ERR_OK;
}

static enum err_code load_sr(struct sim_pool *pool, const struct json *j,
                             struct err *err)
{
    const char *name = text_of(j, "name", "Local storage");
    const char *type = text_of(j, "type", "ext");
    struct sim_db *db = pool->db;
    uint64_t size, used, round;
    struct sim_object *sr;
    struct sim_sr *x;
    char uuid[37];

    if (sim_config_keys(j,
                        " name uuid description type size used shared host "
                        "content_type round chains tags other_config ",
                        "sr", err) != ERR_OK ||
        sim_config_size(json_get(j, "size"), 100ull << 30, "sr: size", &size,
                        err) != ERR_OK ||
        sim_config_size(json_get(j, "used"), 0, "sr: used", &used, err) !=
            ERR_OK)
        return err->code;
    sim_config_uuid(pool, j, "SR", name, uuid);
    sr = sim_db_create(db, "SR", NULL, uuid);
    sim_sr_setup(sr, type);
    x = sr->extra;
    x->used = (int64_t)used;
    if (sim_config_size(json_get(j, "round"), x->round, "sr: round", &round,
                        err) != ERR_OK)
        return err->code;
    x->round = round ? round : 1;
    if (!sim_sr_chains_read(text_of(j, "chains", "none"), &x->chains))
        return err_set(err, ERR_ARGUMENT, 0,
                       "sr: chains: none, merged or later");
    sim_db_set_text(db, sr, "name_label", name);
    sim_db_set_text(db, sr, "name_description", text_of(j, "description", ""));
    sim_db_set_text(db, sr, "type", type);
    sim_db_set_text(db, sr, "content_type", text_of(j, "content_type", "user"));
    sim_db_set_bool(db, sr, "shared", json_bool(json_get(j, "shared"), false));
    sim_db_set_int(db, sr, "physical_size", (int64_t)size);
    sim_config_set(pool, sr, j, "tags");
    sim_config_set(pool, sr, j, "other_config");
    sim_sr_update(pool, sr);
    return sr_pbds(pool, sr, j, err);
}

/* ---- pools ---- */

static enum err_code load_users(struct sim_pool *pool, const struct json *j,
                                struct err *err)
{
    const struct json *list = json_get(j, "users");

    pool->user_count = 1 + json_count(list);
    pool->users = sim_mem_new(pool->user_count * sizeof(*pool->users));
    pool->users[0].name = sim_mem_dup(text_of(j, "user", "root"));
    pool->users[0].password = sim_mem_dup(text_of(j, "password", "secret"));
    pool->users[0].role = sim_mem_dup("pool-admin");
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *u = json_at(list, i);
        struct sim_user *user = &pool->users[i + 1];

        if (sim_config_keys(u, " name password role ", "user", err) != ERR_OK)
            return err->code;
        user->name = sim_mem_dup(text_of(u, "name", ""));
        user->password = sim_mem_dup(text_of(u, "password", ""));
        user->role = sim_mem_dup(text_of(u, "role", "pool-admin"));
        if (sim_call_role(user->role) < 0)
            return err_set(err, ERR_ARGUMENT, 0, "user: no role '%s'",
                           user->role);
    }
    return ERR_OK;
}

static enum err_code load_settings(struct sim_pool *pool, const struct json *j,
                                   struct err *err)
{
    const char *checksum = text_of(j, "checksum", "xxhash");
    const struct json *api = json_get(j, "api_version");

    if (sim_config_keys(j,
                        " name uuid description tags other_config user "
                        "password users hosts networks srs default_sr vms "
                        "product_brand product_version build_number "
                        "xapi_version api_version checksum zstd ca "
                        "redirect_port https_port http_port faults ",
                        "pool", err) != ERR_OK)
        return err->code;
    pool->name = sim_mem_dup(text_of(j, "name", ""));
    if (!*pool->name || strchr(pool->name, '/'))
        return err_set(err, ERR_ARGUMENT, 0, "pool: needs a name without '/'");
    pool->brand = sim_mem_dup(text_of(j, "product_brand", "XCP-ng"));
    pool->version = sim_mem_dup(text_of(j, "product_version", "8.3.0"));
    pool->build = sim_mem_dup(text_of(j, "build_number", "release/xs8"));
    pool->xapi_version = sim_mem_dup(text_of(j, "xapi_version", "25.33"));
    pool->api_major = json_int(json_at(api, 0), 2);
    pool->api_minor = json_int(json_at(api, 1), 23);
    if (strcmp(checksum, "xxhash") != 0 && strcmp(checksum, "sha1") != 0)
        return err_set(err, ERR_ARGUMENT, 0, "pool: checksum '%s'", checksum);
    pool->sha1 = strcmp(checksum, "sha1") == 0;
    pool->zstd = json_bool(json_get(j, "zstd"), true);
    pool->redirect_port = json_bool(json_get(j, "redirect_port"), true);
    pool->https_port = (uint16_t)json_int(json_get(j, "https_port"), 0);
    pool->http_port = (uint16_t)json_int(json_get(j, "http_port"), 0);
    sim_config_uuid(pool, j, "pool", pool->name, pool->uuid);
    pthread_mutex_init(&pool->lock, NULL);
    pool->rpc_counts = sim_value_map();
    pool->db = sim_db_new(pool->sim->schema);
    return load_users(pool, j, err);
}

/* Disks of an earlier run; nothing else is touched. */
static enum err_code clean_dir(const char *dir, struct err *err)
{
    DIR *d;
    struct dirent *e;

    if (mkdir(dir, 0755) != 0 && errno != EEXIST)
        return err_set(err, ERR_IO, errno, "%s: %s", dir, strerror(errno));
    d = opendir(dir);
    if (!d)
        return err_set(err, ERR_IO, errno, "%s: %s", dir, strerror(errno));
    while ((e = readdir(d))) {
        size_t len = strlen(e->d_name);

        if (len == 40 && strcmp(e->d_name + 36, ".raw") == 0)
            unlinkat(dirfd(d), e->d_name, 0);
    }
    closedir(d);
    return ERR_OK;
}

/* The list under key, or one object without members. */
static size_t list_len(const struct json *j, const char *key)
{
    return json_get(j, key) ? json_count(json_get(j, key)) : 1;
}

static enum err_code load_parts(struct sim_pool *pool, const struct json *j,
                                const char *dir, struct err *err)
{
    pool->host_count = list_len(j, "hosts");
    if (pool->host_count == 0)
        return err_set(err, ERR_ARGUMENT, 0, "a pool needs a host");
    pool->hosts = sim_mem_new(pool->host_count * sizeof(*pool->hosts));
    for (size_t i = 0; i < pool->host_count; i++)
        if (load_host(pool, i, json_at(json_get(j, "hosts"), i), dir, err) !=
            ERR_OK)
            return err->code;
    for (size_t i = 0; i < list_len(j, "networks"); i++)
        if (load_network(pool, i, json_at(json_get(j, "networks"), i), err) !=
            ERR_OK)
            return err->code;
    for (size_t i = 0; i < list_len(j, "srs"); i++)
        if (load_sr(pool, json_at(json_get(j, "srs"), i), err) != ERR_OK)
            return err->code;
    return ERR_OK;
}

static enum err_code pool_record(struct sim_pool *pool, const struct json *j,
                                 struct err *err)
{
    struct sim_db *db = pool->db;
    struct sim_object *o = sim_db_create(db, "pool", NULL, pool->uuid);
    struct sim_object *sr = sim_db_at(db, "SR", 0), *t;
    const struct json *def = json_get(j, "default_sr");

    snprintf(pool->ref, sizeof(pool->ref), "%s", o->ref);
    sim_db_set_text(db, o, "name_label", pool->name);
    sim_db_set_text(db, o, "name_description", text_of(j, "description", ""));
    sim_db_set_text(db, o, "master", pool->hosts[0].ref);
    sim_config_set(pool, o, j, "tags");
    sim_config_set(pool, o, j, "other_config");
    if (def && json_kind(def) == JSON_TEXT)
        sr = sim_db_find_any(db, "SR", json_text(def, ""));
    else if (def)
        sr = NULL;
    if (def && json_kind(def) == JSON_TEXT && !sr)
        return err_set(err, ERR_ARGUMENT, 0, "default_sr: no SR '%s'",
                       json_text(def, ""));
    if (sr) {
        sim_db_set_text(db, o, "default_SR", sr->ref);
        sim_db_set_text(db, o, "suspend_image_SR", sr->ref);
    }
    t = sim_vm_new(pool, NULL);
    sim_db_set_text(db, t, "name_label", "Other install media");
    sim_db_set_bool(db, t, "is_a_template", true);
    sim_db_set_bool(db, t, "is_default_template", true);
    return ERR_OK;
}

static enum err_code load_pool(struct sim *sim, size_t i, const struct json *j,
                               bool dry, struct err *err)
{
    struct sim_pool *pool = &sim->pools[i];
    const struct json *vms = json_get(j, "vms");
    const struct json *faults = json_get(j, "faults");
    char *dir;
    uint64_t id;

    pool->sim = sim;
    if (load_settings(pool, j, err) != ERR_OK || dry)
        return err->code;
    dir = sim_mem_printf("%s/%s", sim->state_dir, pool->name);
    if (clean_dir(dir, err) == ERR_OK &&
        (!json_bool(json_get(j, "ca"), false) ||
         sim_tls_make_ca(pool, dir, err) == ERR_OK) &&
        load_parts(pool, j, dir, err) == ERR_OK)
        pool_record(pool, j, err);
    free(dir);
    for (size_t k = 0; err->code == ERR_OK && k < json_count(vms); k++)
        sim_config_vm_add(pool, json_at(vms, k), NULL, err);
    for (size_t k = 0; err->code == ERR_OK && k < json_count(faults); k++)
        sim_fault_set(sim->faults, json_at(faults, k), &id, err);
    return err->code;
}

static enum err_code read_file(const char *path, struct buf *out,
                               struct err *err)
{
    FILE *f = fopen(path, "rb");
    uint8_t piece[65536];
    size_t n;

    if (!f)
        return err_set(err, ERR_IO, errno, "%s: %s", path, strerror(errno));
    while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
        buf_add(out, piece, n);
    fclose(f);
    if (buf_failed(out))
        return err_set(err, ERR_ARGUMENT, 0, "%s: too large", path);
    return ERR_OK;
}

static enum err_code load_all(struct sim *sim, const struct json *j, bool dry,
                              struct err *err)
{
    const struct json *pools = json_get(j, "pools");
    const struct json *control = json_get(j, "control");

    if (sim_config_keys(j, " state_dir time_scale control pools ",
                        "top of the file", err) != ERR_OK)
        return err->code;
    if (!json_get(j, "state_dir") || json_count(pools) == 0)
        return err_set(err, ERR_ARGUMENT, 0, "state_dir and pools are needed");
    sim->state_dir = sim_mem_dup(text_of(j, "state_dir", ""));
    sim->time_scale = json_double(json_get(j, "time_scale"), 1);
    if (!control || json_kind(control) == JSON_TEXT)
        sim->control = sim_mem_dup(json_text(control, "127.0.0.1:0"));
    if (!dry && mkdir(sim->state_dir, 0755) != 0 && errno != EEXIST)
        return err_set(err, ERR_IO, errno, "%s: %s", sim->state_dir,
                       strerror(errno));
    sim->pool_count = json_count(pools);
    sim->pools = sim_mem_new(sim->pool_count * sizeof(*sim->pools));
    for (size_t i = 0; i < sim->pool_count; i++)
        if (load_pool(sim, i, json_at(pools, i), dry, err) != ERR_OK)
            return err_context(err, "pool %zu", i + 1);
    return ERR_OK;
}

enum err_code sim_config_load(struct sim *sim, const char *path, bool dry,
                              struct err *err)
{
    struct json *j = NULL;
    struct buf text;

    err_clear(err);
    sim->schema = sim_class_schema_new();
    sim->faults = sim_fault_new();
    buf_init(&text, FILE_MAX);
    if (read_file(path, &text, err) == ERR_OK &&
        json_parse(text.data, text.len, &j, err) == ERR_OK)
        load_all(sim, j, dry, err);
    buf_fini(&text);
    json_free(j);
    if (err->code != ERR_OK)
        err_context(err, "%s", path);
    return err->code;
}
