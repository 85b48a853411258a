/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_event.c - a subscription is a list of classes and objects. What
 * changed since a token is found by walking the objects from the youngest
 * change back.
 */
#include "tests/sim/sim_event.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/parse.h"
#include "tests/sim/sim_session.h"

#define BATCH_MS 50
#define SILENCE_MS 30000 /* one wait at most; then the session is looked at */

struct events {
    struct sim_value *adds, *mods, *dels;
};

/* "*", "vm", "task/OpaqueRef:..." */
static bool subscribed(const struct sim_value *classes, const char *cls,
                       const char *ref)
{
    for (size_t i = 0; i < classes->count; i++) {
        const char *c = sim_value_str(classes->items[i], "");
        const char *slash = strchr(c, '/');
        size_t len = slash ? (size_t)(slash - c) : strlen(c);

        if (strcmp(c, "*") == 0)
            return true;
        if (strlen(cls) == len && strncasecmp(c, cls, len) == 0 &&
            (!slash || strcmp(slash + 1, ref) == 0))
            return true;
    }
    return false;
}

static void small(const char *cls, char out[64])
{
    size_t i;

    for (i = 0; i < 63 && cls[i]; i++)
        out[i] = (char)tolower((unsigned char)cls[i]);
    out[i] = '\0';
}

static struct sim_value *event_new(uint64_t id, const char *cls,
                                   const char *operation, const char *ref)
{
    struct sim_value *e = sim_value_map();
    char name[64];

    small(cls, name);
    sim_value_put(e, "id", sim_value_textf("%llu", (unsigned long long)id));
    sim_value_put_text(e, "timestamp", "0.0");
    sim_value_put_text(e, "class", name);
    sim_value_put_text(e, "operation", operation);
    sim_value_put_text(e, "ref", ref);
    return e;
}

/* Generations in (from, to]; what is younger is told next time. */
static size_t collect(struct sim_db *db, const struct sim_value *classes,
                      uint64_t from, struct events *out)
{
    size_t n = 0;

    for (struct sim_object *o = sim_db_youngest(db); o && o->changed > from;
         o = o->older) {
        bool add = o->born > from;
        struct sim_value *e;

        if (!subscribed(classes, o->cls->name, o->ref))
            continue;
        n++;
        if (!out)
            continue;
        e = event_new(o->changed, o->cls->name, add ? "add" : "mod", o->ref);
        sim_value_put(e, "snapshot", sim_db_record(o));
        sim_value_add(add ? out->adds : out->mods, e);
    }
    for (size_t i = sim_db_gone_count(db); i-- > 0;) {
        const struct sim_gone *g = sim_db_gone(db, i);

        if (g->died <= from)
            break;
        if (g->born > from || !subscribed(classes, g->cls->name, g->ref))
            continue;
        n++;
        if (out)
            sim_value_add(out->dels,
                          event_new(g->died, g->cls->name, "del", g->ref));
    }
    return n;
}

/* The lists were found youngest first. */
static void append_reversed(struct sim_value *to, struct sim_value *from)
{
    for (size_t i = from->count; i-- > 0;)
        sim_value_add(to, sim_value_copy(from->items[i]));
    sim_value_free(from);
}

static struct sim_value *
event_list(struct sim_db *db, const struct sim_value *classes, uint64_t from)
{
    struct events e = {sim_value_set(), sim_value_set(), sim_value_set()};
    struct sim_value *list = sim_value_set();

    collect(db, classes, from, &e);
    append_reversed(list, e.adds);
    append_reversed(list, e.mods);
    append_reversed(list, e.dels);
    return list;
}

static struct sim_value *ref_counts(struct sim_db *db)
{
    const struct sim_schema *s = sim_db_schema(db);
    struct sim_value *map = sim_value_map();
    char name[64];

    for (size_t i = 0; i < s->count; i++) {
        small(s->classes[i].name, name);
        sim_value_put(
            map, name,
            sim_value_i4((int64_t)sim_db_count(db, s->classes[i].name)));
    }
    return map;
}

static struct sim_value *token_new(uint64_t generation)
{
    return sim_value_textf("%020llu,%020llu", (unsigned long long)generation,
                           0ull);
}

static bool token_read(const char *text, uint64_t *generation)
{
    const char *comma = strchr(text, ',');
    size_t zeros = strspn(text, "0");

    *generation = 0;
    if (!*text)
        return true;
    if (!comma || strspn(comma + 1, "0123456789") != strlen(comma + 1))
        return false;
    if (zeros == (size_t)(comma - text))
        return true;
    return parse_u64_n(text + zeros, (size_t)(comma - text) - zeros, 0,
                       UINT64_MAX, generation);
}

/* Names of no class are fine; nothing ever matches them. */
static bool classes_fine(const struct sim_value *classes)
{
    if (!classes || classes->kind != SIM_SET)
        return false;
    for (size_t i = 0; i < classes->count; i++)
        if (!*sim_value_str(classes->items[i], ""))
            return false;
    return true;
}

/* Until something is to be told, `until` has passed or the session died.
 * False: it did. */
static bool wait_for_change(struct sim_call *c, const struct sim_value *classes,
                            uint64_t from, uint64_t until)
{
    for (;;) {
        uint64_t now = clock_mono_ms(clock_system());

        if (*c->session && !sim_db_find(c->db, "session", c->session))
            return false;
        if (now >= until || collect(c->db, classes, from, NULL) > 0)
            return true;
        sim_db_wait(c->db, until - now < SILENCE_MS ? until - now : SILENCE_MS);
    }
}

static bool event_faults(struct sim_call *c)
{
    struct sim_faults *f = c->pool->sim->faults;
    struct sim_hit hit = {NULL};
    struct sim_where where;
    uint64_t ms = 0;

    sim_pool_where(c->pool, c->host, NULL, &where);
    where.method = c->method;
    if (sim_fault_hit(f, "event_error", &where, &hit)) {
        sim_call_fail_take(c, sim_fault_error(&hit, "EVENTS_LOST"));
        sim_fault_release(&hit);
        return true;
    }
    if (sim_fault_hit(f, "event_token", &where, NULL)) {
        sim_call_fail(c, "EVENT_FROM_TOKEN_PARSE_FAILURE", sim_call_text(c, 1),
                      NULL);
        return true;
    }
    if (sim_fault_hit(f, "event_silent", &where, &hit)) {
        ms = (uint64_t)sim_fault_int(&hit, "ms", 0);
        sim_fault_release(&hit);
        sim_db_unlock(c->db);
        sim_pool_sleep(ms);
        sim_db_lock(c->db);
    }
    return false;
}

static struct sim_value *event_from(struct sim_call *c)
{
    const struct sim_value *classes = sim_value_at(c->args, 0);
    struct sim_value *result;
    uint64_t from, until;
    double timeout = 0;

    if (event_faults(c))
        return NULL;
    if (!classes_fine(classes))
        return sim_call_fail(c, "EVENT_SUBSCRIPTION_PARSE_FAILURE", "", NULL);
    if (!token_read(sim_call_text(c, 1), &from))
        return sim_call_fail(c, "EVENT_FROM_TOKEN_PARSE_FAILURE",
                             sim_call_text(c, 1), NULL);
    if (!sim_value_to_real(sim_value_at(c->args, 2), &timeout) ||
        !(timeout >= 0 && timeout < 1e6))
        return sim_call_fail(c, "FIELD_TYPE_ERROR", "timeout", NULL);
    until = clock_mono_ms(clock_system()) + (uint64_t)(timeout * 1000);
    if (!wait_for_change(c, classes, from, until))
        return sim_call_fail(c, "SESSION_INVALID", c->session, NULL);
    if (from != 0 && collect(c->db, classes, from, NULL) > 0) {
        sim_db_unlock(c->db); /* more may follow at once: one batch */
        sim_pool_pause(c->pool->sim, BATCH_MS);
        sim_db_lock(c->db);
    }
    result = sim_value_map();
    sim_value_put(result, "events", event_list(c->db, classes, from));
    sim_value_put(result, "valid_ref_counts", ref_counts(c->db));
    sim_value_put(result, "token", token_new(sim_db_generation(c->db)));
    return result;
}

static struct sim_value *event_inject(struct sim_call *c)
{
    const char *cls = sim_call_text(c, 0), *ref = sim_call_text(c, 1);
    struct sim_class *found =
        sim_class_find_any_case(sim_db_schema(c->db), cls);
    struct sim_object *o = found ? sim_db_find(c->db, found->name, ref) : NULL;
    struct sim_value *token = token_new(sim_db_generation(c->db));

    if (!o) {
        sim_value_free(token);
        return sim_call_fail(c, "HANDLE_INVALID", cls, ref, NULL);
    }
    sim_db_touch(c->db, o);
    return token;
}

/* ---- the older form: a session registers, and reads on where it was ---- */

static struct sim_login *login_of(struct sim_call *c)
{
    return sim_db_find(c->db, "session", c->session)->extra;
}

static struct sim_value *event_register(struct sim_call *c)
{
    struct sim_login *login = login_of(c);
    const struct sim_value *classes = sim_value_at(c->args, 0);

    if (!login->classes) {
        login->classes = sim_value_set();
        login->seen = sim_db_generation(c->db);
    }
    for (size_t i = 0; classes && i < classes->count; i++) {
        const char *one = sim_value_str(classes->items[i], "");

        if (!sim_value_has(login->classes, one))
            sim_value_add_text(login->classes, one);
    }
    return sim_call_void();
}

static struct sim_value *event_unregister(struct sim_call *c)
{
    struct sim_login *login = login_of(c);
    const struct sim_value *classes = sim_value_at(c->args, 0);

    if (!login->classes)
        return sim_call_fail(c, "SESSION_NOT_REGISTERED", c->session, NULL);
    for (size_t i = 0; classes && i < classes->count; i++)
        sim_value_remove(login->classes, sim_value_str(classes->items[i], ""));
    if (login->classes->count == 0) {
        sim_value_free(login->classes);
        login->classes = NULL;
    }
    return sim_call_void();
}

static struct sim_value *event_next(struct sim_call *c)
{
    uint64_t until = clock_mono_ms(clock_system()) + SILENCE_MS;
    struct sim_login *login = login_of(c);
    struct sim_value *classes, *list = NULL;
    uint64_t seen = login->seen;

    if (!login->classes)
        return sim_call_fail(c, "SESSION_NOT_REGISTERED", c->session, NULL);
    classes = sim_value_copy(login->classes);
    if (event_faults(c))
        goto out;
    if (!wait_for_change(c, classes, seen, until)) {
        sim_call_fail(c, "SESSION_INVALID", c->session, NULL);
        goto out;
    }
    if (collect(c->db, classes, seen, NULL) == 0)
        sim_db_touch(c->db, sim_db_at(c->db, "pool", 0)); /* heartbeat */
    list = event_list(c->db, classes, seen);
    login_of(c)->seen = sim_db_generation(c->db);
out:
    sim_value_free(classes);
    return list;
}

static struct sim_value *event_current_id(struct sim_call *c)
{
    return sim_value_int((int64_t)sim_db_generation(c->db));
}

const struct sim_method sim_event_methods[] = {
    {"event.from", event_from, SIM_READ_ONLY, 3, 3},
    {"event.inject", event_inject, SIM_READ_ONLY, 2, 2},
    {"event.register", event_register, SIM_READ_ONLY, 1, 1},
    {"event.unregister", event_unregister, SIM_READ_ONLY, 1, 1},
    {"event.next", event_next, SIM_READ_ONLY, 0, 0},
    {"event.get_current_id", event_current_id, SIM_READ_ONLY, 0, 0},
    {NULL, NULL, SIM_READ_ONLY, 0, 0},
};
