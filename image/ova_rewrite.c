/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/parse.h"
#include "image/ova.h"

#define NULL_REF "OpaqueRef:NULL"

/* Ids of the objects that were taken out. */
struct gone {
    char **ids;
    size_t count;
};

static void gone_fini(struct gone *g)
{
    for (size_t i = 0; i < g->count; i++)
        free(g->ids[i]);
    free(g->ids);
}

static bool is_gone(const struct gone *g, const struct xmlrpc *v)
{
    const char *text = xmlrpc_text(v, NULL);

    if (text)
        for (size_t i = 0; i < g->count; i++)
            if (strcmp(text, g->ids[i]) == 0)
                return true;
    return false;
}

/* What hangs on a network: these would have the importer look for one. */
static bool is_of_network(const char *class_name)
{
    static const char *const classes[] = {"VIF", "network", "VIF_metrics",
                                          "PVS_proxy", "PVS_site"};

    for (size_t i = 0; i < BYTES_COUNT(classes); i++)
        if (strcmp(class_name, classes[i]) == 0)
            return true;
    return false;
}

static bool take_out_networks(struct xmlrpc *objects, struct gone *g)
{
    g->ids = calloc(xmlrpc_count(objects) + 1, sizeof(*g->ids));
    if (!g->ids)
        return false;
    for (size_t i = xmlrpc_count(objects); i-- > 0;) {
        struct xmlrpc *object = xmlrpc_at(objects, i);

        if (!is_of_network(xmlrpc_get_text(object, "class")))
            continue;
        g->ids[g->count] = strdup(xmlrpc_get_text(object, "id"));
        if (!g->ids[g->count])
            return false;
        g->count++;
        xmlrpc_remove_at(objects, i);
    }
    return true;
}

/* Depth is that of the document: base/xml bounds it. */
static bool forget(struct xmlrpc *v, const struct gone *g)
{
    const char *name;
    struct xmlrpc *child;

    if (xmlrpc_kind(v) == XMLRPC_ARRAY) {
        for (size_t i = xmlrpc_count(v); i-- > 0;) {
            child = xmlrpc_at(v, i);
            if (is_gone(g, child))
                xmlrpc_remove_at(v, i);
            else if (!forget(child, g))
                return false;
        }
        return true;
    }
    for (size_t i = 0; (name = xmlrpc_name_at(v, i, &child)); i++) {
        if (is_gone(g, child)) {
            if (!xmlrpc_set_text(v, name, NULL_REF))
                return false;
        } else if (!forget(child, g)) {
            return false;
        }
    }
    return true;
}

/* RFC 9562: version 4, variant 10. */
static bool set_fresh_uuid(struct xmlrpc *record,
                           const struct ova_rewrite_opts *opts)
{
    struct id16 id;
    char text[37];

    opts->random(opts->ctx, id.b, sizeof(id.b));
    id.b[6] = (uint8_t)((id.b[6] & 0x0f) | 0x40);
    id.b[8] = (uint8_t)((id.b[8] & 0x3f) | 0x80);
    parse_uuid_text(&id, text);
    return xmlrpc_set_text(record, "uuid", text);
}

/* The map of that name, made when it is missing. */
static struct xmlrpc *map_of(struct xmlrpc *record, const char *name)
{
    if (xmlrpc_kind(xmlrpc_get(record, name)) != XMLRPC_STRUCT &&
        !xmlrpc_set(record, name, xmlrpc_new_struct()))
        return NULL;
    return xmlrpc_get(record, name);
}

static bool rewrite_other_config(struct xmlrpc *vm,
                                 const struct ova_rewrite_opts *opts)
{
    struct xmlrpc *map = map_of(vm, "other_config");

    if (!map)
        return false;
    if (!opts->keep_mac_seed)
        xmlrpc_remove(map, "mac_seed");
    for (size_t i = 0; i < opts->other_config_count; i++) {
        const struct ova_pair *pair = &opts->other_config[i];

        if (!pair->value)
            xmlrpc_remove(map, pair->key);
        else if (!xmlrpc_set_text(map, pair->key, pair->value))
            return false;
    }
    return true;
}

static bool rewrite_vm(struct xmlrpc *vm, const struct ova_rewrite_opts *opts)
{
    struct xmlrpc *map;

    if (opts->vm_uuid ? !xmlrpc_set_text(vm, "uuid", opts->vm_uuid)
                      : !set_fresh_uuid(vm, opts))
        return false;
    if (opts->name && !xmlrpc_set_text(vm, "name_label", opts->name))
        return false;
    if (opts->block_start) {
        map = map_of(vm, "blocked_operations");
        /* An import that keeps the uuid replaces a halted VM or template of
         * an older version: none is older than this. */
        if (!map || !xmlrpc_set_text(map, "start", opts->block_start) ||
            !xmlrpc_set_text(map, "start_on", opts->block_start) ||
            !xmlrpc_set_text(vm, "version", "0"))
            return false;
    }
    return xmlrpc_set(vm, "is_a_template", xmlrpc_new_bool(false)) &&
           xmlrpc_set(vm, "is_a_snapshot", xmlrpc_new_bool(false)) &&
           xmlrpc_set_text(vm, "snapshot_of", NULL_REF) &&
           rewrite_other_config(vm, opts);
}

static bool rewrite_object(struct xmlrpc *object,
                           const struct ova_rewrite_opts *opts)
{
    const char *class_name = xmlrpc_get_text(object, "class");
    struct xmlrpc *record = xmlrpc_get(object, "snapshot");

    if (strcmp(class_name, "VM") == 0)
        return rewrite_vm(record, opts);
    if (strcmp(class_name, "VBD") == 0 || strcmp(class_name, "VDI") == 0 ||
        strcmp(class_name, "VIF") == 0)
        return set_fresh_uuid(record, opts);
    return true;
}

enum err_code ova_rewrite(const struct ova *o,
                          const struct ova_rewrite_opts *opts, struct buf *out,
                          struct err *err)
{
    struct xmlrpc *tree = xmlrpc_copy(ova_tree(o));
    struct xmlrpc *objects = xmlrpc_get(tree, "objects");
    struct gone gone = {0};
    bool ok = tree != NULL;

    if (ok && !opts->keep_nics)
        ok = take_out_networks(objects, &gone) &&
             (gone.count == 0 || forget(objects, &gone));
    for (size_t i = 0; ok && i < xmlrpc_count(objects); i++)
        ok = rewrite_object(xmlrpc_at(objects, i), opts);
    ok = ok && xmlrpc_write(tree, out);
    gone_fini(&gone);
    xmlrpc_free(tree);
    return ok ? ERR_OK : err_set(err, ERR_NOMEM, 0, "rewriting ova.xml");
}
