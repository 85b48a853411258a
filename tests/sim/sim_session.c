/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_session.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim_mem.h"

#define PER_ORIGINATOR 500
#define PER_NO_ORIGINATOR 400

const struct sim_user *sim_session_authenticate(struct sim_pool *pool,
                                                const char *user,
                                                const char *password)
{
    for (size_t i = 0; i < pool->user_count; i++)
        if (strcmp(pool->users[i].name, user) == 0 &&
            strcmp(pool->users[i].password, password) == 0)
            return &pool->users[i];
    pool->hosts[0].counters.failed_logins++;
    sim_pool_pause(pool->sim, 5000);
    return NULL;
}

/* The one that was used least recently goes when its originator has too
 * many. */
static void session_limit(struct sim_pool *pool, const char *originator)
{
    size_t limit = *originator ? PER_ORIGINATOR : PER_NO_ORIGINATOR, n = 0;
    struct sim_object *oldest = NULL, *o;

    for (size_t i = 0; (o = sim_db_at(pool->db, "session", i)); i++) {
        if (strcmp(sim_db_str(o, "originator"), originator) != 0)
            continue;
        n++;
        if (!oldest || strcmp(sim_db_str(o, "last_active"),
                              sim_db_str(oldest, "last_active")) < 0)
            oldest = o;
    }
    if (n > limit)
        sim_session_destroy(pool, oldest);
}

static void login_free(void *extra)
{
    struct sim_login *login = extra;

    sim_value_free(login->classes);
    free(login);
}

struct sim_value *sim_session_login(struct sim_host *host, const char *user,
                                    const char *password,
                                    const char *originator)
{
    struct sim_pool *pool = host->pool;
    const struct sim_user *u = sim_session_authenticate(pool, user, password);
    struct sim_login *login;
    struct sim_object *s;
    struct sim_value *ref;

    if (!u)
        return NULL;
    sim_db_lock(pool->db);
    s = sim_db_create(pool->db, "session", NULL, NULL);
    login = sim_mem_new(sizeof(*login));
    login->user = u;
    s->extra = login;
    s->extra_free = login_free;
    sim_db_set_text(pool->db, s, "this_host", host->ref);
    sim_db_set(pool->db, s, "last_active", sim_value_now());
    sim_db_set(pool->db, s, "validation_time", sim_value_now());
    sim_db_set_bool(pool->db, s, "is_local_superuser", u == pool->users);
    sim_db_set_text(pool->db, s, "auth_user_name", u->name);
    sim_db_set_text(pool->db, s, "originator", originator);
    ref = sim_value_text(s->ref);
    session_limit(pool, originator);
    sim_db_unlock(pool->db);
    return ref;
}

struct sim_object *sim_session_check(struct sim_pool *pool, const char *ref)
{
    return sim_db_find(pool->db, "session", ref);
}

enum sim_role sim_session_role(const struct sim_object *session)
{
    const struct sim_login *login = session->extra;

    return (enum sim_role)sim_call_role(login->user->role);
}

void sim_session_destroy(struct sim_pool *pool, struct sim_object *session)
{
    sim_db_destroy(pool->db, session);
}

void sim_session_destroy_all(struct sim_pool *pool)
{
    struct sim_object *o;

    while ((o = sim_db_at(pool->db, "session", 0)))
        sim_session_destroy(pool, o);
}

static struct sim_value *session_login(struct sim_call *c)
{
    struct sim_value *ref;

    sim_db_unlock(c->db);
    ref = sim_session_login(c->host, sim_call_text(c, 0), sim_call_text(c, 1),
                            sim_call_text(c, 3));
    sim_db_lock(c->db);
    if (!ref)
        return sim_call_fail(c, "SESSION_AUTHENTICATION_FAILED",
                             sim_call_text(c, 0), "Authentication failure",
                             NULL);
    return ref;
}

static struct sim_value *session_logout(struct sim_call *c)
{
    struct sim_object *s = sim_db_find(c->db, "session", c->session);

    if (s)
        sim_session_destroy(c->pool, s);
    return sim_call_void();
}

static struct sim_value *session_all_subjects(struct sim_call *c)
{
    (void)c;
    return sim_value_set();
}

const struct sim_method sim_session_methods[] = {
    {"session.login_with_password", session_login, SIM_READ_ONLY, 2, 4},
    {"session.logout", session_logout, SIM_READ_ONLY, 0, 0},
    {"session.get_all_subject_identifiers", session_all_subjects, SIM_READ_ONLY,
     0, 0},
    {NULL, NULL, SIM_READ_ONLY, 0, 0},
};
