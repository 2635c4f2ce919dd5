/*
 * A written host name: everything is checked before the write returns, within CHECK_NS.
 *
 * First what memory knows (refuse.h), then two questions to the storage: the source's host claims
 * the volume, the destination's host says whether it could be made there. Then the records are
 * committed and the writer is told. Meanwhile the world goes on: what memory knows is asked once
 * more at the end.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copy/base/cleanup.h"
#include "fs/migrate/admission.h"
#include "fs/migrate/refuse.h"

void admission_end(struct admission *a, int result)
{
    a->vol->admission = NULL;
    host_forget(a->ask);
    owned_fd(&a->claim_fd);
    free(a->choice.hosts);
    request_done(a->request, a->service, result);
    free(a);
}

void admission_refuse(struct admission *a, const struct err *e)
{
    admission_end(a, vol_refuse(a->vol, a->request, e));
}

void admission_cancel(struct vol *v)
{
    struct err e = {ESHUTDOWN, "ferryfs is stopping"};

    if (v->admission)
        admission_refuse(v->admission, &e);
}

static uint64_t left_ns(const struct admission *a)
{
    uint64_t passed = io_now_ns() - a->began_ns;

    return passed < CHECK_NS ? CHECK_NS - passed : 1;
}

/* One that does not answer leaves the others their time. */
static uint64_t share_ns(const struct admission *a)
{
    return left_ns(a) / (a->choice.n - a->choice.at) + 1;
}

static int ask(struct admission *a, struct site *site, enum pool_op op, host_done_fn *done)
{
    struct pool_request request = {.kind = op, .size_bytes = a->vol->size_bytes};

    snprintf(request.name, sizeof(request.name), "%s", a->vol->name);
    if (op == POOL_CLAIM) {
        request.has_expect = 1;
        request.expect = a->vol->identity;
    } else if (op == POOL_EXAMINE) {
        uuid_copy(request.cid, a->retained.cid);
        request.has_expect = request.has_mtime = 1;
        request.expect = a->retained.identity;
        request.size_bytes = a->retained.size_bytes;
        request.mtime_ns = a->retained.mtime_ns;
    } else {
        request.size_bytes = a->claim.size_bytes;
        migration_sample(a->service);
    }
    return host_ask(site->host, &request, op == POOL_ADMIT ? a->claim_fd : -1,
                    op == POOL_CLAIM ? left_ns(a) : share_ns(a), done, a, &a->ask);
}

/* As memory knows it now. */
static int refuse_now(struct admission *a, struct err *e)
{
    OWNED(view) struct view *view = NULL;
    const struct view_host *host;
    struct view_volume *volume;

    world_publish(a->service);
    view = view_get(a->service->views);
    volume = view_volume_by_number(view, a->vol->record.number);
    if (!volume)
        return err_set(e, EAGAIN, "the volume is not recorded yet, try again");
    host = view_host_by_name(view, a->to->host->config.name);
    if (a->restores) /* it needs no room */
        return refuse_at_write(view, volume, host, a->to->host->config.name, e);
    return refuse_at_answer(view, volume, host, e);
}

struct err admission_err(const struct pool_reply *reply)
{
    struct err e = {.code = reply->error};

    memcpy(e.text, reply->text, sizeof(e.text));
    if (!e.text[0])
        err_set(&e, reply->error, "%s", strerror(reply->error));
    return e;
}

static void try_host(struct admission *a);

void admission_try_next(struct admission *a, const struct err *e)
{
    if (a->choice.at == 0)
        a->first = *e;
    if (++a->choice.at < a->choice.n)
        try_host(a);
    else
        admission_refuse(a, &a->first);
}

void admission_accept(struct admission *a)
{
    struct err e = {0};
    int r = refuse_now(a, &e);

    if (r < 0) {
        admission_try_next(a, &e);
        return;
    }
    r = migration_accept(a->service, a->vol, a->to, a->restores ? &a->retained : NULL,
                         a->request->caller.uid, &a->claim_fd, &a->claim, &e);
    if (r < 0) {
        admission_refuse(a, &e);
        return;
    }
    vol_say(a->vol, "accepted %" PRIu64 ": %s -> %s, %" PRIu64 " bytes",
            a->vol->migration->job.number, a->vol->record.host, a->to->host->config.name,
            a->claim.size_bytes);
    admission_end(a, 0);
}

static void on_admitted(void *arg, const struct pool_reply *reply, int fd)
{
    struct admission *a = arg;
    struct err e;

    a->ask = NULL;
    owned_fd(&fd);
    if (reply->error) {
        e = admission_err(reply);
        admission_try_next(a, &e);
    } else {
        admission_accept(a);
    }
}

static void try_host(struct admission *a)
{
    struct err e = {0};
    int r;

    a->to = world_site_by_number(a->service, a->choice.hosts[a->choice.at]);
    if (a->restores)
        r = ask(a, a->to, POOL_EXAMINE, admission_on_retained);
    else
        r = ask(a, a->to, POOL_ADMIT, on_admitted);
    if (r < 0) {
        err_set(&e, r == -EAGAIN ? ETIMEDOUT : -r, "%s does not answer", a->to->host->config.name);
        admission_try_next(a, &e);
    }
}

static void on_claimed(void *arg, const struct pool_reply *reply, int fd)
{
    struct admission *a = arg;
    struct err e;

    a->ask = NULL;
    a->claim_fd = fd;
    if (reply->error) {
        e = admission_err(reply);
        admission_refuse(a, &e);
        return;
    }
    a->claim = *reply;
    world_see(a->vol, reply);
    if (a->restores && admission_was_written(a)) {
        err_set(&e, ESTALE, "it was written since it left %s", a->retained.host);
        admission_refuse(a, &e);
    } else {
        try_host(a);
    }
}

static int choose_hosts(const struct view *view, const struct view_volume *volume, const char *word,
                        struct choice *ret, struct err *e)
{
    const struct view_host *host = view_host_by_name(view, word);
    int r;

    if (strcmp(word, "auto") == 0) {
        ret->n = refuse_choose(view, volume, &ret->hosts, e);
        return ret->n > 0 ? 0 : -e->code;
    }
    r = refuse_at_write(view, volume, host, word, e);
    if (r < 0)
        return r;
    ret->hosts = malloc(sizeof(*ret->hosts));
    if (!ret->hosts)
        return err_set(e, ENOMEM, "no memory");
    ret->hosts[0] = host->number;
    ret->n = 1;
    return 0;
}

/* Which hosts the word means, if it is not refused. */
static int choose(struct service *s, const struct vol *v, const char *word, struct choice *ret,
                  struct err *e)
{
    OWNED(view) struct view *view = NULL;
    struct view_volume *volume;
    int r;

    world_publish(s);
    view = view_get(s->views);
    volume = view_volume_by_number(view, v->record.number);
    if (!volume)
        return err_set(e, EAGAIN, "the volume is not recorded yet, try again");
    r = refuse_at_open(view, volume, e);
    return r < 0 ? r : choose_hosts(view, volume, word, ret, e);
}

/* Claim the volume, then `done`. The choice is taken over, with success. */
static int begin(struct service *s, struct vol *v, struct request *request,
                 const struct choice *choice, host_done_fn *done, uint64_t limit_ns)
{
    struct admission *a = calloc(1, sizeof(*a));
    struct site *from = world_site(s, v->record.host);
    int r;

    if (!a || !from) {
        free(a);
        return a ? -EHOSTDOWN : -ENOMEM;
    }
    *a = (struct admission){.service = s,
                            .vol = v,
                            .request = request,
                            .choice = *choice,
                            .to = choice->n ? world_site_by_number(s, choice->hosts[0]) : NULL,
                            .began_ns = io_now_ns() + limit_ns - CHECK_NS,
                            .claim_fd = -1};
    r = ask(a, from, POOL_CLAIM, done);
    if (r < 0) {
        free(a);
        return r == -EAGAIN ? -ETIMEDOUT : r;
    }
    v->admission = a;
    return 0;
}

/* A look at open(2) ends: the write will look for itself. False: another request is being checked.
 */
static bool is_free(struct vol *v)
{
    if (v->admission && !v->admission->to)
        admission_end(v->admission, 0);
    return !v->admission;
}

/* It asks for no change: that is said. */
static bool is_so_already(struct vol *v, const char *word)
{
    const struct migration *m = v->migration;

    if (m && !m->job.abort && !phases[m->phase].backwards && !m->recovering &&
        (strcmp(word, m->job.destination) == 0 || strcmp(word, "auto") == 0)) {
        vol_say(v, "already moving to %s", m->job.destination);
        return true;
    }
    if (!m && strcmp(word, v->record.host) == 0) {
        vol_say(v, "already on %s", word);
        return true;
    }
    return false;
}

void admission_start(struct service *s, struct vol *v, struct request *request, const char *word,
                     const struct copy *retained)
{
    struct choice choice = {0};
    struct err e = {0};
    int r;

    if (!is_free(v)) {
        r = err_set(&e, EALREADY, "another request is being checked");
    } else if (!retained && is_so_already(v, word)) {
        request_done(request, s, 0);
        return;
    } else {
        r = choose(s, v, word, &choice, &e);
    }
    if (r == 0) {
        r = begin(s, v, request, &choice, on_claimed, CHECK_NS);
        if (r < 0)
            err_set(&e, -r, "%s cannot be asked: %s", v->record.host, strerror(-r));
    }
    if (r < 0) {
        free(choice.hosts);
        request_done(request, s, vol_refuse(v, request, &e));
    } else if (retained) {
        v->admission->restores = true;
        v->admission->retained = *retained;
    }
}

void service_store_target(struct service *s, struct request *request)
{
    struct vol *v = world_volume_by_number(s, request->subject.volume);

    if (v)
        admission_start(s, v, request, request->word, NULL);
    else
        request_done(request, s, -ENODEV);
}

/* Only that somebody holds the volume is told at open; everything else is told by the write. */
static void on_probed(void *arg, const struct pool_reply *reply, int fd)
{
    struct admission *a = arg;
    struct err e;

    a->ask = NULL;
    owned_fd(&fd);
    if (reply->error == EBUSY) {
        e = admission_err(reply);
        admission_refuse(a, &e);
    } else {
        admission_end(a, 0);
    }
}

void service_admit_target(struct service *s, struct request *request)
{
    struct vol *v = world_volume_by_number(s, request->subject.volume);
    const struct choice nowhere = {0};
    OWNED(view) struct view *view = NULL;
    struct view_volume *volume;
    struct err e = {0};
    int r = 0;

    if (!v) {
        request_done(request, s, -ENODEV);
        return;
    }
    world_publish(s);
    view = view_get(s->views);
    volume = view_volume_by_number(view, v->record.number);
    if (volume)
        r = refuse_at_open(view, volume, &e);
    if (r < 0) {
        request_done(request, s, vol_refuse(v, request, &e));
        return;
    }
    if (v->migration || v->admission || begin(s, v, request, &nowhere, on_probed, PROBE_NS) < 0)
        request_done(request, s, 0);
}
