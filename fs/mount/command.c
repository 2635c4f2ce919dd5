#include "fs/mount/command.h"

#include <errno.h>
#include <stdlib.h>

#include "copy/base/cleanup.h"
#include "fs/mount/data.h"
#include "fs/mount/state.h"

struct command {
    struct request request; /* first: it is freed as what the owner was given */
    struct mount *mount;
    fuse_req_t req;
    size_t n_bytes;           /* of a write */
    bool malformed;           /* refused whatever the owner says */
    struct handle *handle;    /* of an open */
    struct fuse_file_info fi; /* of an open */
};

void reply_open(fuse_req_t req, struct mount *mount, struct handle *handle,
                const struct fuse_file_info *fi)
{
    struct fuse_file_info answer = *fi;

    answer.fh = handle->fh;
    answer.direct_io = !handle->node.attr->data;
    /* Who closes a file that blocks ends his reads of it: only the flush tells; and what was stored
     * to a mapping of `data` is written with it. */
    answer.noflush = handle->node.attr->ready == NULL && !handle->node.attr->data;
    if (fuse_reply_open(req, &answer) == -ENOENT) {
        data_end(mount, handle);
        handle_remove(mount, handle); /* nobody waits any more: there will be no release */
    }
    handle_put(handle);
}

static void let_go(struct command *command)
{
    mount_put(command->mount);
    free(command);
}

static void answer_write(struct request *request, int result)
{
    struct command *command = request->answer_arg;

    if (command->malformed)
        result = -EINVAL;
    if (result < 0)
        fuse_reply_err(command->req, -result);
    else
        fuse_reply_write(command->req, command->n_bytes);
    let_go(command);
}

static void answer_open(struct request *request, int result)
{
    struct command *command = request->answer_arg;

    if (result < 0) {
        fuse_reply_err(command->req, -result);
        handle_remove(command->mount, command->handle);
        handle_put(command->handle);
    } else {
        if (request->live)
            data_begin(command->mount, command->handle, take_ptr(request->live));
        reply_open(command->req, command->mount, command->handle, &command->fi);
    }
    let_go(command);
}

static struct command *make(fuse_req_t req, const struct handle *handle)
{
    struct command *command = calloc(1, sizeof(*command));
    const struct node *node = &handle->node;

    if (!command)
        return NULL;
    command->mount = mount_ref(mount_of(req));
    command->req = req;
    command->request.subject.volume = node->dir->about == ABOUT_VOLUME ? node->number : 0;
    command->request.subject.host = node->dir->about == ABOUT_HOST ? node->number : 0;
    command->request.caller = handle->caller;
    command->request.attr = node->attr->name;
    command->request.answer_arg = command;
    return command;
}

void command_write(fuse_req_t req, struct handle *handle, const char *bytes, size_t n)
{
    struct command *command = make(req, handle);

    if (!command) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    command->request.carry_out = handle->node.attr->store;
    command->request.answer = answer_write;
    command->n_bytes = n;
    /* What is no command goes to the owner as the empty word, which no file takes: it says so in
     * `message` and in the log. */
    command->malformed = text_command(bytes, n, command->request.word) < 0;
    if (command->malformed)
        command->request.word[0] = '\0';
    service_submit(command->mount->service, &command->request);
}

void command_open(fuse_req_t req, struct handle *handle, const struct fuse_file_info *fi)
{
    struct command *command = make(req, handle);

    if (!command) {
        handle_remove(mount_of(req), handle);
        handle_put(handle);
        fuse_reply_err(req, ENOMEM); /* and req is gone */
        return;
    }
    command->request.carry_out = handle->node.attr->admit;
    command->request.answer = answer_open;
    command->handle = handle;
    command->fi = *fi;
    service_submit(command->mount->service, &command->request);
}
