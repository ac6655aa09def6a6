/* Listeners, what they advertise, and the voters.
 *
 * `listeners` names where to listen. Those named in controller.listener.names are for the other
 * nodes; in a cluster that has none of them, this node's own entry among the voters says where. */
#include "options_inside.h"

#include <stdio.h>

bool options_parse_endpoint(struct text t, struct text *ret_host, uint16_t *ret_port)
{
    size_t colon = t.len;
    int64_t port;
    while (colon > 0 && t.data[colon - 1] != ':') {
        colon--;
    }
    if (colon == 0 || !text_to_i64(text_part(t.data + colon, t.len - colon), &port) || port < 0 ||
        port > UINT16_MAX) {
        return false;
    }
    struct text host = text_part(t.data, colon - 1);
    bool bracketed = host.len >= 2 && host.data[0] == '[' && host.data[host.len - 1] == ']';
    if (bracketed) {
        host = text_part(host.data + 1, host.len - 2);
    } else if (host.len > 0 && memchr(host.data, ':', host.len) != NULL) {
        return false; /* an IPv6 address needs its brackets */
    }
    *ret_host = host;
    *ret_port = (uint16_t)port;
    return true;
}

static bool is_every_address(struct text host)
{
    return host.len == 0 || text_is(host, "0.0.0.0") || text_is(host, "::");
}

struct endpoint {
    struct text name, host;
    uint16_t port;
};

/* "NAME://host:port" */
static bool parse_listener(struct text t, struct endpoint *ret_endpoint)
{
    const char *at = t.len > 0 ? memmem(t.data, t.len, "://", 3) : NULL;
    if (at == NULL || at == t.data) {
        return false;
    }
    ret_endpoint->name = text_part(t.data, (size_t)(at - t.data));
    struct text rest = text_part(at + 3, t.len - ret_endpoint->name.len - 3);
    return options_parse_endpoint(rest, &ret_endpoint->host, &ret_endpoint->port);
}

/* The next entry of a list of listeners; reports one that cannot be read. False at the end. */
static bool next_listener(struct options *o, const char *setting, struct text *rest,
                          struct endpoint *ret_endpoint)
{
    while (rest->data != NULL && rest->len > 0) {
        struct text entry = text_cut(rest, ',');
        if (parse_listener(entry, ret_endpoint)) {
            return true;
        }
        options_refuse(o, setting, "'%.*s' is not NAME://host:port", TEXT_ARG(entry));
    }
    return false;
}

static bool is_for_nodes(const struct options *o, struct text name)
{
    char *copy = text_dup(name);
    bool yes = config_list_has(options_get(o, "controller.listener.names"), copy);
    free(copy);
    return yes;
}

/* Only PLAINTEXT is there: anything else must not be taken for it. */
static void check_protocol(struct options *o, struct text name)
{
    struct text rest = options_get(o, "listener.security.protocol.map"), protocol = TEXT_NULL;
    while (rest.data != NULL && protocol.data == NULL) {
        struct text entry = text_cut(&rest, ','), value = entry;
        if (text_equal(text_trim(text_cut(&value, ':')), name) && value.data != NULL) {
            protocol = text_trim(value);
        }
    }
    if (protocol.data == NULL && is_for_nodes(o, name)) {
        return;
    }
    if (protocol.data == NULL) {
        options_refuse(o, "listener.security.protocol.map",
                       "it does not say what listener %.*s speaks: add %.*s:PLAINTEXT",
                       TEXT_ARG(name), TEXT_ARG(name));
    } else if (!text_is(protocol, "PLAINTEXT")) {
        options_refuse(o, "listeners", "listener %.*s needs %.*s, which this version does not have",
                       TEXT_ARG(name), TEXT_ARG(protocol));
    }
}

static bool name_taken(const struct options *o, const struct endpoint *e)
{
    for (unsigned i = 0; i < o->n_listeners; i++) {
        const struct options_listener *l = &o->listeners[i];
        bool same_port = l->port == e->port && e->port != 0 && text_is(e->host, l->host);
        if (text_is(e->name, l->name) || same_port) {
            return true;
        }
    }
    return false;
}

static void add_listener(struct options *o, const struct endpoint *e)
{
    struct text host = is_every_address(e->host) ? text_of("") : e->host;
    o->listeners = mem_realloc_array(o->listeners, o->n_listeners + 1, sizeof *o->listeners);
    o->listeners[o->n_listeners++] = (struct options_listener){
        .name = text_dup(e->name),
        .host = text_dup(host),
        .port = e->port,
    };
}

/* Takes the first listener for other nodes out of the list, and drops further ones. */
static void part_nodes(struct options *o)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < o->n_listeners; i++) {
        struct options_listener *l = &o->listeners[i];
        if (!is_for_nodes(o, text_of(l->name))) {
            o->listeners[kept++] = *l;
        } else if (o->nodes == NULL && o->n_voters > 1) {
            o->nodes = mem_dup(l, sizeof *l);
        } else {
            free(l->name);
            free(l->host);
        }
    }
    o->n_listeners = kept;
}

static void read_listeners(struct options *o)
{
    struct text rest = options_get(o, "listeners");
    struct endpoint e;
    while (next_listener(o, "listeners", &rest, &e)) {
        if (name_taken(o, &e)) {
            options_refuse(o, "listeners", "listener %.*s, or its address, comes twice",
                           TEXT_ARG(e.name));
            continue;
        }
        check_protocol(o, e.name);
        add_listener(o, &e);
    }
    part_nodes(o);
    if (o->n_listeners == 0) {
        options_refuse(o, "listeners", "there is none for clients: add PLAINTEXT://host:9092");
    }
}

static void advertise(struct options *o, const struct endpoint *e)
{
    for (unsigned i = 0; i < o->n_listeners; i++) {
        if (text_is(e->name, o->listeners[i].name)) {
            free(o->listeners[i].advertised_host);
            o->listeners[i].advertised_host = text_dup(e->host);
            o->listeners[i].advertised_port = e->port;
            return;
        }
    }
    if (!is_for_nodes(o, e->name)) {
        options_refuse(o, "advertised.listeners", "there is no listener %.*s", TEXT_ARG(e->name));
    }
}

static void read_advertised(struct options *o, const char *hostname)
{
    struct text rest = options_get(o, "advertised.listeners");
    struct endpoint e;
    while (next_listener(o, "advertised.listeners", &rest, &e)) {
        if (is_every_address(e.host)) {
            options_refuse(o, "advertised.listeners",
                           "clients cannot connect to '%.*s': name this machine",
                           TEXT_ARG(e.host));
        }
        advertise(o, &e);
    }
    for (unsigned i = 0; i < o->n_listeners; i++) {
        struct options_listener *l = &o->listeners[i];
        if (l->advertised_host == NULL) {
            l->advertised_host = mem_strdup(l->host[0] != '\0' ? l->host : hostname);
            l->advertised_port = l->port;
        }
    }
}

/* ---- voters -----------------------------------------------------------------------------------*/

static const char VOTERS[] = "controller.quorum.voters";

static const struct options_voter *find_voter(const struct options *o, int64_t id)
{
    for (unsigned i = 0; i < o->n_voters; i++) {
        if (o->voters[i].id == id) {
            return &o->voters[i];
        }
    }
    return NULL;
}

/* "1@host:port" */
static void add_voter(struct options *o, struct text entry)
{
    struct text endpoint = entry, host;
    int64_t id;
    uint16_t port;
    bool ok = text_to_i64(text_cut(&endpoint, '@'), &id) && id >= 0 && id <= INT32_MAX;
    ok = ok && endpoint.data != NULL && options_parse_endpoint(endpoint, &host, &port);
    if (!ok || host.len == 0 || port == 0) {
        options_refuse(o, VOTERS, "'%.*s' is not id@host:port", TEXT_ARG(entry));
        return;
    }
    if (find_voter(o, id) != NULL) {
        options_refuse(o, VOTERS, "id %lld comes twice", (long long)id);
        return;
    }
    o->voters = mem_realloc_array(o->voters, o->n_voters + 1, sizeof *o->voters);
    o->voters[o->n_voters++] =
        (struct options_voter){ .id = (int32_t)id, .host = text_dup(host), .port = port };
}

static void check_voters(struct options *o)
{
    struct text servers = options_get(o, "controller.quorum.bootstrap.servers");
    if (o->n_voters == 0) {
        if (servers.len > 0 && memchr(servers.data, ',', servers.len) != NULL) {
            options_refuse(o, "controller.quorum.bootstrap.servers",
                           "a cluster of several nodes needs their ids: set %s to id@host:port,...",
                           VOTERS);
        }
        return;
    }
    if (o->n_voters == 1 && o->node_id < 0) {
        o->node_id = o->voters[0].id;
    }
    if (o->n_voters > 5 || o->n_voters % 2 == 0) {
        options_refuse(o, VOTERS, "%u nodes: a cluster is of 1, 3 or 5", o->n_voters);
    } else if (o->node_id < 0) {
        options_refuse(o, VOTERS, "which of these is this node? Set node.id (--node-id)");
    } else if (find_voter(o, o->node_id) == NULL) {
        options_refuse(o, VOTERS, "this node, %d, is not among them", (int)o->node_id);
    }
}

static void read_voters(struct options *o)
{
    struct text rest = options_get(o, VOTERS);
    while (rest.data != NULL && rest.len > 0) {
        add_voter(o, text_trim(text_cut(&rest, ',')));
    }
    check_voters(o);
}

/* In a cluster without a listener for nodes, this node's voter entry is one. */
static void nodes_from_voters(struct options *o)
{
    const struct options_voter *own = find_voter(o, o->node_id);
    if (o->nodes == NULL && o->n_voters > 1 && own != NULL) {
        o->nodes = mem_zalloc(sizeof *o->nodes);
        o->nodes->name = mem_strdup("CONTROLLER");
        o->nodes->host = mem_strdup(own->host);
        o->nodes->port = own->port;
    }
    if (o->nodes != NULL && own != NULL) {
        o->nodes->advertised_host = mem_strdup(own->host);
        o->nodes->advertised_port = own->port;
    }
}

void options_derive_endpoints(struct options *o, const char *hostname)
{
    read_voters(o);
    read_listeners(o);
    nodes_from_voters(o);
    read_advertised(o, hostname);
}
